package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
)

func isNotFound(err error) bool { return apierrors.IsNotFound(err) }

// maxReason is how long a reason may be: an extension server may answer anything.
const maxReason = 400

// describe says why something could not be read, in one line.
func describe(err error) string {
	var status apierrors.APIStatus
	var text string
	switch {
	case timedOut(err):
		text = "the API server did not answer in time; try a longer --request-timeout"
	case apierrors.IsUnauthorized(err):
		text = "the API server no longer accepts the credentials"
	case errors.As(err, &status):
		text = status.Status().Message
	default:
		text = withoutURL(err).Error()
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "..."
	}
	return text
}

func timedOut(err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout() || apierrors.IsTimeout(err)
}

// broken reports whether a connection ended before its answer did.
func broken(err error) bool {
	var u *url.Error
	return errors.As(err, &u) && !timedOut(err) || errors.Is(err, io.ErrUnexpectedEOF)
}

// withoutURL leaves out the request: it holds tokens of pages, and the same cause is
// to read the same for every kind.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// unreachable says why nothing can be read of a cluster, and what to do.
func unreachable(ctx context.Context, config *rest.Config, err error) error {
	var status apierrors.APIStatus
	var certificate *url.Error
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s does not accept the credentials of the kubeconfig: they may have expired; log in again, or choose another --context or --user", config.Host)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%s does not let this user see what it serves: %s; bulkhead rbac-for prints the role that a scan needs", config.Host, describe(err))
	case timedOut(err):
		return fmt.Errorf("%s does not answer: check the network and the address in the kubeconfig, or try a longer --request-timeout", config.Host)
	case errors.As(err, &status):
		return fmt.Errorf("%s does not answer as an API server: %s", config.Host, describe(err))
	case errors.As(err, &certificate):
		return fmt.Errorf("%s cannot be reached: %w; check that the cluster runs and that the kubeconfig names it rightly, or choose another --context", config.Host, certificate.Err)
	}
	return fmt.Errorf("%s cannot be asked: %w", config.Host, err)
}

// connection notices when the API server is gone, so that not every kind waits for
// it again.
type connection struct {
	mu   sync.Mutex
	last error
	// failures counts those in a row.
	failures int
}

// maxFailures in a row, as many as are read at once and one more, mean that the API
// server is gone.
const maxFailures = concurrentLists + 1

func (c *connection) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var status apierrors.APIStatus
	if err == nil || errors.As(err, &status) {
		c.failures = 0
		return
	}
	c.last = err
	c.failures++
}

func (c *connection) err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures < maxFailures {
		return nil
	}
	return c.last
}
