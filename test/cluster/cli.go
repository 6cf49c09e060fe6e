package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const usage = `usage:
  cluster build
      Build etcd, kube-apiserver and kube-controller-manager into the cache.
  cluster start [--dir DIR] [--load PATH ...] [--admission-config FILE]
      Start a cluster, print its kubeconfig, run until SIGINT or SIGTERM.
  cluster exec [--dir DIR] [--load PATH ...] [--admission-config FILE] [--chdir DIR] -- CMD ARGS...
      Start a cluster, run CMD with KUBECONFIG and BULKHEAD_TEST_KUBECONFIG set, stop it.
  cluster kubectl [--chdir DIR] -- ARGS...
      Run a kubectl of the cluster's version.

--load applies a file or a folder of YAML, server-side; --admission-config is the API
server's own --admission-control-config-file. See go doc for the rest.
`

// errUsage is a wrong command line; what is wrong has been printed.
var errUsage = errors.New("wrong usage")

// An exitError is the exit code of a command that ran.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", e.code) }

// launcher is one run of this command.
type launcher struct {
	stdin          io.Reader
	stdout, stderr io.Writer
}

// options are the flags of all commands; each command declares those it takes.
type options struct {
	dir   string
	chdir string
	load  []string
	args  []string
	// admissionConfig is the path of an AdmissionConfiguration.
	admissionConfig string
}

// run is main without the process around it. It returns the exit code: that of the
// command given to exec and kubectl, 2 for a wrong command line, 1 for any other error.
func run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer, args []string) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go watchGoRun(ctx, cancel)

	l := launcher{stdin: stdin, stdout: stdout, stderr: stderr}
	err := l.dispatch(ctx, args)
	// Only a bare exitError is the answer; one inside another error is a failure of ours.
	if exit, ok := err.(exitError); ok {
		return exit.code
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	fmt.Fprintf(stderr, "cluster: %v\n", err)
	return 1
}

func (l launcher) dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return l.usageError("a command is missing")
	}
	commands := map[string]struct {
		flags string
		run   func(context.Context, options) error
	}{
		"build":   {"", l.build},
		"start":   {"dir load admission", l.start},
		"exec":    {"dir load admission chdir args", l.exec},
		"kubectl": {"chdir args", l.kubectl},
	}
	name := args[0]
	if name == "help" || name == "-h" || name == "--help" {
		fmt.Fprint(l.stdout, usage)
		return nil
	}
	command, ok := commands[name]
	if !ok {
		return l.usageError("unknown command %q", name)
	}
	opts, err := l.parse(name, command.flags, args[1:])
	if err != nil {
		return err
	}
	return command.run(ctx, opts)
}

// parse reads the flags of a command; takes names those it has, and "args" if it
// has arguments.
func (l launcher) parse(name, takes string, args []string) (options, error) {
	var opts options
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(l.stderr)
	flags.Usage = func() { fmt.Fprint(l.stderr, usage) }
	if strings.Contains(takes, "dir") {
		flags.StringVar(&opts.dir, "dir", "", "the cluster's `folder`; a temporary one if empty")
	}
	if strings.Contains(takes, "load") {
		flags.Func("load", "a `path` of manifests to apply", func(path string) error {
			if _, err := os.Stat(path); err != nil {
				return err
			}
			opts.load = append(opts.load, path)
			return nil
		})
	}
	if strings.Contains(takes, "admission") {
		flags.StringVar(&opts.admissionConfig, "admission-config", "", "a `file` with an AdmissionConfiguration")
	}
	if strings.Contains(takes, "chdir") {
		flags.StringVar(&opts.chdir, "chdir", "", "the `folder` to run the command in")
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return opts, err
		}
		return opts, fmt.Errorf("%w: %w", errUsage, err)
	}
	opts.args = flags.Args()
	if len(opts.args) > 0 && !strings.Contains(takes, "args") {
		return opts, l.usageError("%s takes no arguments, but got %q", name, opts.args)
	}
	return opts, nil
}

func (l launcher) usageError(format string, args ...any) error {
	fmt.Fprintf(l.stderr, "cluster: "+format+"\n%s", append(args, usage)...)
	return errUsage
}

func (l launcher) build(ctx context.Context, _ options) error {
	cache, err := openCache(l.stderr)
	if err != nil {
		return err
	}
	if err := cache.ensure(ctx, components...); err != nil {
		return err
	}
	fmt.Fprintf(l.stderr, "binaries: %s\n", cache.dir)
	return nil
}

func (l launcher) start(ctx context.Context, opts options) error {
	c, err := l.startCluster(ctx, opts)
	if err != nil {
		return err
	}
	fmt.Fprintf(l.stdout, "kubeconfig: %s\nexport KUBECONFIG=%s\n", c.kubeconfig, shellQuote(c.kubeconfig))
	fmt.Fprintln(l.stderr, "The cluster runs until Ctrl-C.")
	<-c.ctx.Done()
	return c.stop()
}

func (l launcher) exec(ctx context.Context, opts options) error {
	if len(opts.args) == 0 {
		return l.usageError("exec needs a command, after --")
	}
	c, err := l.startCluster(ctx, opts)
	if err != nil {
		return err
	}
	// The cluster's context ends with a component, and the command with it.
	err = l.command(c.ctx, opts.chdir, opts.args,
		"KUBECONFIG="+c.kubeconfig, "BULKHEAD_TEST_KUBECONFIG="+c.kubeconfig)
	if stopErr := c.stop(); stopErr != nil {
		return stopErr // a component that died is why the command failed
	}
	return err
}

func (l launcher) kubectl(ctx context.Context, opts options) error {
	cache, err := openCache(l.stderr)
	if err != nil {
		return err
	}
	if err := cache.ensure(ctx, kubectl); err != nil {
		return err
	}
	return l.command(ctx, opts.chdir, append([]string{cache.path(kubectl)}, opts.args...))
}

// startCluster builds what is not built yet, starts a cluster and loads manifests.
func (l launcher) startCluster(ctx context.Context, opts options) (*cluster, error) {
	cache, err := openCache(l.stderr)
	if err != nil {
		return nil, err
	}
	wanted := components
	if len(opts.load) > 0 {
		wanted = append(wanted[:len(wanted):len(wanted)], kubectl)
	}
	if err := cache.ensure(ctx, wanted...); err != nil {
		return nil, err
	}
	c, err := startCluster(ctx, config{dir: opts.dir, path: cache.path, ports: freePorts, log: l.stderr, admission: opts.admissionConfig})
	if err != nil {
		return nil, err
	}
	// Manifests are progress, not the answer: stdout is kept for the kubeconfig.
	apply := launcher{stdin: nil, stdout: l.stderr, stderr: l.stderr}
	for _, path := range opts.load {
		argv := []string{cache.path(kubectl), "--kubeconfig", c.kubeconfig, "apply", "--server-side", "-f", path}
		if err := apply.command(c.ctx, "", argv); err != nil {
			return nil, errors.Join(fmt.Errorf("load %s: kubectl apply: %w", filepath.Clean(path), err), c.stop())
		}
	}
	return c, nil
}
