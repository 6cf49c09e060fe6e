package cli

import (
	"context"
	"errors"
	"fmt"
)

// Exit codes. Where several apply, 2 wins over 3 and 3 over 1.
const (
	exitClean      = 0
	exitFindings   = 1
	exitNothing    = 2
	exitIncomplete = 3
)

// usageError means that the command line or the configuration is wrong, or that
// nothing could be assessed.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// outcomeError is a command that did its work; its code is the answer.
type outcomeError struct {
	code    int
	message string
}

func (e outcomeError) Error() string { return e.message }

func exitCode(err error) int {
	var outcome outcomeError
	switch {
	case err == nil:
		return exitClean
	case errors.As(err, &outcome):
		return outcome.code
	default:
		return exitNothing
	}
}

// describe is what is written to stderr for an error.
func describe(err error) string {
	var outcome outcomeError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &outcome):
		return outcome.message
	case errors.Is(err, context.Canceled):
		return "bulkhead: interrupted"
	}
	return fmt.Sprintf("bulkhead: %v", err)
}
