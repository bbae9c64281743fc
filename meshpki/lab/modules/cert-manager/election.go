package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// election holds the flags of leader election; controller and cainjector share them.
type election struct {
	enabled                     bool
	namespace                   string
	lease, renewDeadline, retry time.Duration
}

func (e *election) addFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&e.enabled, "leader-elect", true, "let one replica work at a time")
	flags.StringVar(&e.namespace, "leader-election-namespace", "kube-system", "namespace of the Lease")
	flags.DurationVar(&e.lease, "leader-election-lease-duration", 60*time.Second, "how long others wait for a lost leader")
	flags.DurationVar(&e.renewDeadline, "leader-election-renew-deadline", 40*time.Second, "how long the leader tries to renew")
	flags.DurationVar(&e.retry, "leader-election-retry-period", 15*time.Second, "wait between two tries")
}

// lead runs work while this process holds the controller's Lease and returns what work returned, or an error as soon
// as the Lease is lost.
func (e *election) lead(ctx context.Context, base *controller.Context, watchdog *leaderelection.HealthzAdaptor, work func(context.Context) error) error {
	if !e.enabled {
		return work(ctx)
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: e.namespace, Name: "cert-manager-controller"},
			Client:     base.Client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: host + "-external-cert-manager-controller", EventRecorder: base.Recorder},
		},
		LeaseDuration: e.lease, RenewDeadline: e.renewDeadline, RetryPeriod: e.retry,
		ReleaseOnCancel: true,
		WatchDog:        watchdog,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				done <- work(ctx)
				cancel()
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return err
	}
	elector.Run(ctx)
	select {
	case err := <-done:
		return err
	case <-time.After(10 * time.Second):
		return errors.New("no longer the leader")
	}
}
