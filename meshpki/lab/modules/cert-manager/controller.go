package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/healthz"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/vault"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/vault"
)

// The defaults are those of internal/apis/config/controller/v1alpha1/defaults.go at v1.21.2.
type controllerSettings struct {
	options     controller.ContextOptions
	election    election
	controllers []string
	workers     int
	healthz     string
	metrics     string
}

func (s *controllerSettings) addFlags(flags *pflag.FlagSet) {
	s.election.addFlags(flags)
	o := &s.options
	flags.StringVar(&o.Namespace, "namespace", "", "the only namespace to work in")
	flags.StringVar(&o.ClusterResourceNamespace, "cluster-resource-namespace", "kube-system", "where a ClusterIssuer's Secrets are")
	flags.StringVar(&o.HTTP01SolverImage, "acme-http01-solver-image", "", "accepted and unused: there is no ACME here")
	flags.IntVar(&o.MaxConcurrentChallenges, "max-concurrent-challenges", 60, "accepted and unused: there is no ACME here")
	flags.BoolVar(&o.EnableOwnerRef, "enable-certificate-owner-ref", false, "make a Certificate the owner of its Secret")
	flags.Float32Var(&o.KubernetesAPIQPS, "kube-api-qps", 20, "requests to the API server a second")
	flags.IntVar(&o.KubernetesAPIBurst, "kube-api-burst", 50, "requests to the API server in a burst")
	flags.StringSliceVar(&o.CopiedAnnotationPrefixes, "copied-annotation-prefixes",
		[]string{"*", "-kubectl.kubernetes.io/", "-fluxcd.io/", "-argocd.argoproj.io/"}, "annotations a request copies from its Certificate")
	flags.DurationVar(&o.CertificateRequestMinimumBackoffDuration, "certificate-request-minimum-backoff-duration", time.Hour, "first wait after a failed request")
	flags.DurationVar(&o.CertificateRequestMaximumBackoffDuration, "certificate-request-maximum-backoff-duration", 32*time.Hour, "longest wait after a failed request")
	flags.StringSliceVar(&s.controllers, "controllers", []string{"*"}, "controllers to run: *, name, -name")
	flags.IntVar(&s.workers, "concurrent-workers", 5, "workers of each controller")
	flags.StringVar(&s.healthz, "internal-healthz-listen-address", "0.0.0.0:9403", "address of /livez")
	flags.StringVar(&s.metrics, "metrics-listen-address", "0.0.0.0:9402", "address of /metrics")
}

func (s *controllerSettings) enabled(name string) bool {
	if slices.Contains(s.controllers, "-"+name) {
		return false
	}
	return slices.Contains(s.controllers, "*") || slices.Contains(s.controllers, name)
}

func runController(ctx context.Context, args []string) error {
	settings := controllerSettings{options: controller.ContextOptions{
		IssuerOptions: controller.IssuerOptions{ClusterIssuerAmbientCredentials: true},
	}}
	flags := pflag.NewFlagSet("controller", pflag.ContinueOnError)
	settings.addFlags(flags)
	if err := parse(flags, args); err != nil {
		return err
	}
	factory, err := controller.NewContextFactory(ctx, settings.options)
	if err != nil {
		return err
	}
	base, err := factory.Build()
	if err != nil {
		return err
	}
	health := healthz.NewServer(20 * time.Second)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return listen(ctx, settings.healthz, health.Start) })
	group.Go(func() error {
		return listen(ctx, settings.metrics, func(ctx context.Context, l net.Listener) error {
			server := base.Metrics.NewServer(l)
			context.AfterFunc(ctx, func() { _ = server.Close() })
			return server.Serve(l)
		})
	})
	group.Go(func() error {
		return settings.election.lead(ctx, base, health.LeaderHealthzAdaptor, func(ctx context.Context) error {
			return runControllers(ctx, &settings, factory, base)
		})
	})
	return group.Wait()
}

func listen(ctx context.Context, address string, serve func(context.Context, net.Listener) error) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return serve(ctx, listener)
}

func runControllers(ctx context.Context, settings *controllerSettings, factory *controller.ContextFactory, base *controller.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for name, construct := range controller.Known() {
		if !settings.enabled(name) {
			continue
		}
		loop, err := construct(factory)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		group.Go(func() error {
			logf.FromContext(ctx).V(logf.InfoLevel).Info("starting controller", "controller", name)
			return loop.Run(settings.workers, ctx)
		})
	}
	base.Metrics.SetupCertificateCollector(base.SharedInformerFactory.Certmanager().V1().Certificates().Lister())
	base.SharedInformerFactory.Start(ctx.Done())
	base.KubeSharedInformerFactory.Start(ctx.Done())
	base.HTTP01ResourceMetadataInformersFactory.Start(ctx.Done())
	return group.Wait()
}
