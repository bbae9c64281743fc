// Command registrar announces a CSI driver to the kubelet's plugin watcher, as csi-node-driver-registrar does. That one
// cannot be had as a Go module; the protocol is k8s.io/kubelet/pkg/apis/pluginregistration/v1.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

func main() {
	driver := flag.String("csi-address", "/run/csi/socket", "the driver's socket, here")
	endpoint := flag.String("kubelet-registration-path", "", "the driver's socket, as the kubelet sees it")
	folder := flag.String("plugin-registration-path", "/registration", "the folder the kubelet watches")
	health := flag.String("http-endpoint", "", "address of /healthz, empty for none")
	flag.Int("v", 0, "accepted and unused")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	name, err := driverName(ctx, *driver)
	if err != nil {
		log.Fatal(err)
	}
	if *health != "" {
		go serveHealth(*health)
	}
	info := &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: name, Endpoint: *endpoint, SupportedVersions: []string{"1.0.0"},
	}
	if err := announce(ctx, filepath.Join(*folder, name+"-reg.sock"), info); err != nil {
		log.Fatal(err)
	}
}

// driverName asks the driver for its name until it answers.
func driverName(ctx context.Context, socket string) (string, error) {
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return "", err
	}
	defer connection.Close()
	for {
		answer, err := csi.NewIdentityClient(connection).GetPluginInfo(ctx, &csi.GetPluginInfoRequest{})
		if err == nil {
			return answer.GetName(), nil
		}
		log.Print(err)
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// announce serves the registration socket until told to stop, and removes it.
func announce(ctx context.Context, socket string, info *registration.PluginInfo) error {
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	registration.RegisterRegistrationServer(server, plugin{info: info})
	context.AfterFunc(ctx, server.Stop)
	return server.Serve(listener)
}

type plugin struct {
	registration.UnimplementedRegistrationServer
	info *registration.PluginInfo
}

func (p plugin) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return p.info, nil
}

func (p plugin) NotifyRegistrationStatus(_ context.Context, status *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	log.Printf("registered: %v %s", status.GetPluginRegistered(), status.GetError())
	if !status.GetPluginRegistered() {
		os.Exit(1)
	}
	return &registration.RegistrationStatusResponse{}, nil
}

func serveHealth(address string) {
	http.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	log.Fatal(http.ListenAndServe(address, nil))
}
