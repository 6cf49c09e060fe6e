package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const (
	attempts     = 5                // to find ports that are still free
	readyTimeout = 2 * time.Minute  // for all components; they take seconds
	stopGrace    = 15 * time.Second // for each component, before it is killed
)

// errStopped is why a cluster's context ended if it was stopped.
var errStopped = errors.New("the cluster was stopped")

// config is what a cluster is made from.
type config struct {
	dir   string              // the cluster's folder; a temporary one if empty
	path  func(binary) string // where the binaries are
	ports func() (ports, error)
	log   io.Writer // for progress
	// admission is the path of an AdmissionConfiguration; empty for the defaults.
	admission string
}

// A cluster is a running control plane.
type cluster struct {
	config
	folder     *folder
	keys       pki
	url        string // the API server's
	kubeconfig string
	client     *http.Client // with the admin's certificate

	// ctx ends with the context that startCluster got, and with the first component that
	// dies: its cause is a *diedError then.
	ctx    context.Context
	cancel context.CancelCauseFunc

	processes []*process // in the order of their start
}

// startCluster starts a cluster and waits until it can be worked with. The caller stops
// it, whether or not ctx has ended.
func startCluster(ctx context.Context, conf config) (*cluster, error) {
	f, err := openFolder(conf.dir)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*cluster, error) { return nil, errors.Join(err, f.close()) }
	keys, err := newPKI(f.file("pki"))
	if err != nil {
		return fail(err)
	}
	if err := os.WriteFile(f.file("audit-policy.yaml"), auditPolicy, 0o600); err != nil {
		return fail(err)
	}
	for attempt := 1; ; attempt++ {
		start := time.Now()
		c := &cluster{config: conf, folder: f, keys: keys, kubeconfig: f.file("kubeconfig")}
		c.ctx, c.cancel = context.WithCancelCause(ctx)
		err := c.start()
		if err == nil {
			fmt.Fprintf(conf.log, "cluster ready after %.1fs at %s\n", time.Since(start).Seconds(), c.url)
			return c, nil
		}
		err = errors.Join(err, c.stopProcesses())
		var died *diedError
		if !errors.As(err, &died) || !died.portTaken() || attempt == attempts {
			return fail(err)
		}
		fmt.Fprintf(conf.log, "%s: another process took the port; trying others\n", died.name)
		if err := os.RemoveAll(f.file("etcd")); err != nil {
			return fail(err)
		}
	}
}

// start starts the components one after another, each as soon as it has what it needs.
func (c *cluster) start() error {
	at, err := c.ports()
	if err != nil {
		return err
	}
	c.url = httpsURL(at.apiServer)
	if c.client, err = c.newClient("admin", "ca"); err != nil {
		return err
	}
	store, err := c.newClient("etcd-client", "etcd-ca")
	if err != nil {
		return err
	}
	manager := c.folder.file("pki", "controller-manager.kubeconfig")
	if err := writeKubeconfig(manager, c.keys, "controller-manager", at); err != nil {
		return err
	}
	if err := writeKubeconfig(c.kubeconfig, c.keys, "admin", at); err != nil {
		return err
	}
	for _, component := range []struct {
		binary binary
		flags  []string
		client *http.Client
		ready  string // the address that answers 200 when the component does its work
	}{
		{etcd, etcdFlags(c.folder, c.keys, at), store, httpsURL(at.etcd) + "/readyz"},
		{apiServer, apiServerFlags(c.folder, c.keys, at, c.admission), c.client, c.url + "/readyz"},
		{controllerManager, controllerManagerFlags(c.folder, c.keys), c.client,
			c.url + "/api/v1/namespaces/default/serviceaccounts/default"},
	} {
		if err := c.startComponent(component.binary, component.flags); err != nil {
			return err
		}
		if err := c.waitFor(component.client, component.ready); err != nil {
			return fmt.Errorf("start %s: %w", component.binary.name, err)
		}
	}
	return nil
}

func (c *cluster) newClient(cert, ca string) (*http.Client, error) {
	config, err := c.keys.clientTLS(cert, ca)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config}, Timeout: 30 * time.Second}, nil
}

// startComponent starts a process and ends the cluster's context when it dies.
func (c *cluster) startComponent(bin binary, flags []string) error {
	p, err := startProcess(bin.name, c.path(bin), c.folder.file("logs", bin.name+".log"), flags)
	if err != nil {
		return err
	}
	c.processes = append(c.processes, p)
	go func() {
		<-p.done
		c.cancel(p.died()) // without effect on a cluster that is being stopped
	}()
	return nil
}

// waitFor waits until url answers 200.
func (c *cluster) waitFor(client *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(c.ctx, readyTimeout)
	defer cancel()
	last := errors.New("no answer yet")
	for {
		err := getOK(ctx, client, url)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			if c.ctx.Err() != nil {
				return context.Cause(c.ctx)
			}
			p := c.processes[len(c.processes)-1]
			return fmt.Errorf("not ready after %s: %w; the end of its log:\n%s", readyTimeout, last, tail(p.log, 20))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func getOK(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20)) // to the end, so that the connection is used again
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %s", url, response.Status, body[:min(len(body), 500)])
	}
	return nil
}

// stop ends the cluster and removes its folder if that is temporary. It returns the
// *diedError of a component that died before.
func (c *cluster) stop() error {
	err := errors.Join(c.stopProcesses(), c.folder.close())
	var died *diedError
	if errors.As(context.Cause(c.ctx), &died) {
		err = errors.Join(died, err)
	}
	return err
}

// stopProcesses ends the components in the reverse order of their start.
func (c *cluster) stopProcesses() error {
	c.cancel(errStopped)
	var errs []error
	if c.client != nil {
		c.client.CloseIdleConnections() // the API server would wait for them
	}
	for i := len(c.processes) - 1; i >= 0; i-- {
		if err := c.processes[i].stop(stopGrace); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
