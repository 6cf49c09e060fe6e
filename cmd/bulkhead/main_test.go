package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"bulkhead.dev/bulkhead/internal/cli"
)

func TestMain(m *testing.M) {
	bulkhead := func() {
		self, err := exec.LookPath("bulkhead")
		if err != nil {
			self = os.Args[0] // a child that renders has no PATH, and starts no other
		}
		os.Exit(cli.Run(context.Background(), cli.Env{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, Self: self, Name: os.Args[0]}))
	}
	testscript.Main(m, map[string]func(){"bulkhead": bulkhead, "kubectl-bulkhead": bulkhead})
}

// TestScripts runs the command line as a user does; -update rewrites what the
// scripts expect.
func TestScripts(t *testing.T) {
	examples, err := filepath.Abs(filepath.Join("..", "..", "examples"))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("EXAMPLES", examples)
			e.Setenv("CLUSTER", os.Getenv("BULKHEAD_TEST_KUBECONFIG"))
			return nil
		},
		Condition: func(condition string) (bool, error) {
			return condition == "cluster" && os.Getenv("BULKHEAD_TEST_KUBECONFIG") != "", nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": exitCode,
		},
	})
}

// exitCode runs a program and wants an exit code: code 3 bulkhead scan x.yaml.
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N program args...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = itoa(exit.ExitCode())
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

func itoa(n int) string { return string(rune('0' + n)) }
