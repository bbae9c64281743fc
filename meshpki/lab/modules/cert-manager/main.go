// Command cert-manager starts one of cert-manager's own components, picked by the name it is called by: controller,
// webhook or cainjector.
//
// Upstream's mains live in cmd/*, modules of their own that are not published; what they start is the published
// library, and this module starts the same. Left out: ACME, Venafi and ingress issuers, the Gateway API, profiling.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	logf "github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/cert-manager/cert-manager/pkg/util"
	"github.com/spf13/pflag"
	logsapi "k8s.io/component-base/logs/api/v1"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	component := filepath.Base(os.Args[0])
	if err := start(component, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", component, err)
		os.Exit(1)
	}
}

func start(component string, args []string) error {
	logf.InitLogs()
	defer logf.FlushLogs()
	ctrl.SetLogger(logf.Log)
	log := logf.Log.WithName(component)
	ctx := logf.NewContext(ctrl.SetupSignalHandler(), log)
	log.Info("starting cert-manager", "version", util.VersionInfo().GitVersion)
	switch component {
	case "controller":
		return runController(ctx, args)
	case "webhook":
		return runWebhook(ctx, args)
	case "cainjector":
		return runCAInjector(ctx, args)
	}
	return fmt.Errorf("called by an unknown name; want controller, webhook or cainjector")
}

// parse reads the component's flags and applies the logging ones, which every component has.
func parse(flags *pflag.FlagSet, args []string) error {
	logging := logsapi.NewLoggingConfiguration()
	logf.AddFlags(logging, flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	return logf.ValidateAndApply(logging)
}
