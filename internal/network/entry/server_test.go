package entry

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/reach"
	"bulkhead.dev/bulkhead/internal/testcluster"
)

// TestEndpointSlices makes random Services and pods in a real API server, and compares
// where they lead with the EndpointSlices that its controller writes.
func TestEndpointSlices(t *testing.T) {
	config, _ := testcluster.Config(t)
	config.WarningHandler = rest.NoWarnings{} // of names of ports that are there twice, on purpose
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	d := &dealer{t, client, rand.New(rand.NewPCG(6, 6)), "", ""}
	d.prepare()
	const pods, services = 120, 300
	for i := range pods {
		d.pod(i)
	}
	made := 0
	for i := range services {
		if d.service(i) {
			made++
		}
	}
	deadline := time.Now().Add(90 * time.Second)
	for {
		got, want := d.ours(), d.theirs()
		if slices.Equal(got, want) {
			t.Logf("%d Services lead to the same %d endpoints", made, len(want))
			if made < services/2 || len(want) < services {
				t.Errorf("%d Services and %d endpoints are too few to say anything", made, len(want))
			}
			return
		}
		if time.Now().After(deadline) {
			for _, line := range got {
				if !slices.Contains(want, line) {
					t.Errorf("only we have %s", line)
				}
			}
			for _, line := range want {
				if !slices.Contains(got, line) {
					t.Errorf("only the cluster has %s", line)
				}
			}
			return
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// dealer makes random objects.
type dealer struct {
	*testing.T
	client          *kubernetes.Clientset
	rand            *rand.Rand
	namespace, node string
}

// prepare makes a namespace and a node, and waits until pods can be made.
func (d *dealer) prepare() {
	ctx := d.Context()
	ns, err := d.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "entry-"}}, metav1.CreateOptions{})
	d.check(err)
	node, err := d.client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{GenerateName: "entry-"}}, metav1.CreateOptions{})
	d.check(err)
	d.namespace, d.node = ns.Name, node.Name
	d.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer stop()
		_ = d.client.CoreV1().Pods(d.namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}, metav1.ListOptions{})
		_ = d.client.CoreV1().Namespaces().Delete(ctx, d.namespace, metav1.DeleteOptions{})
		_ = d.client.CoreV1().Nodes().Delete(ctx, d.node, metav1.DeleteOptions{})
	})
	for range 100 {
		if _, err = d.client.CoreV1().ServiceAccounts(d.namespace).Get(ctx, "default", metav1.GetOptions{}); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	d.check(err)
}

func (d *dealer) check(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

func (d *dealer) one(n int) bool { return d.rand.IntN(n) == 0 }

func pick[T any](d *dealer, of ...T) T { return of[d.rand.IntN(len(of))] }

func (d *dealer) labels() map[string]string {
	out := map[string]string{}
	for _, key := range []string{"app", "tier", "zone"} {
		if !d.one(3) {
			out[key] = pick(d, "a", "b", "c")
		}
	}
	return out
}

var protocolNames = []corev1.Protocol{"", corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}

// container has some named ports; names and numbers meet those of others.
func (d *dealer) container(name string) corev1.Container {
	c := corev1.Container{Name: name, Image: "i"}
	seen := map[string]bool{}
	for range d.rand.IntN(4) {
		p := corev1.ContainerPort{ContainerPort: int32(8080 + d.rand.IntN(4)), Protocol: pick(d, protocolNames...)}
		if !d.one(4) {
			p.Name = pick(d, "http", "dns", "admin")
		}
		if !seen[p.Name] {
			seen[p.Name] = p.Name != ""
			c.Ports = append(c.Ports, p)
		}
	}
	return c
}

// pod makes a pod and gives it a status, as the kubelet does. Some have ended, are about
// to be deleted, have no address yet, or are in the network of their node.
func (d *dealer) pod(i int) {
	ctx := d.Context()
	spec := corev1.PodSpec{NodeName: d.node, Containers: []corev1.Container{d.container("one")}}
	if d.one(2) {
		spec.Containers = append(spec.Containers, d.container("two"))
	}
	if d.one(3) {
		c := d.container("sidecar")
		if !d.one(3) {
			c.RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
		}
		spec.InitContainers = []corev1.Container{c}
	}
	spec.HostNetwork = d.one(8)
	pods := d.client.CoreV1().Pods(d.namespace)
	p, err := pods.Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("p", i), Labels: d.labels()}, Spec: spec}, metav1.CreateOptions{})
	if apierrors.IsInvalid(err) { // ports of the network of a node may not be there twice
		return
	}
	d.check(err)
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: pick(d, corev1.ConditionTrue, corev1.ConditionFalse)}}}
	if d.one(8) {
		p.Status.Phase = pick(d, corev1.PodSucceeded, corev1.PodFailed)
	}
	if !d.one(8) {
		p.Status.PodIP = fmt.Sprintf("10.9.0.%d", i+1)
		p.Status.PodIPs = []corev1.PodIP{{IP: p.Status.PodIP}}
	}
	_, err = pods.UpdateStatus(ctx, p, metav1.UpdateOptions{})
	d.check(err)
	if d.one(8) {
		d.check(pods.Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](300)}))
	}
}

// service makes a Service; it reports false where the API server does not take it.
func (d *dealer) service(i int) bool {
	spec := corev1.ServiceSpec{Type: pick(d, corev1.ServiceTypeClusterIP, corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer), Selector: d.labels()}
	if spec.Type == corev1.ServiceTypeClusterIP && d.one(3) {
		spec.ClusterIP = corev1.ClusterIPNone
	}
	spec.PublishNotReadyAddresses = d.one(3)
	ports := 1 + d.rand.IntN(3)
	if spec.ClusterIP == corev1.ClusterIPNone && d.one(3) {
		ports = 0
	}
	for k := range ports {
		p := corev1.ServicePort{Name: fmt.Sprint("port-", k), Port: int32(80 + k), Protocol: pick(d, protocolNames...)}
		switch d.rand.IntN(3) {
		case 0:
			p.TargetPort = intstr.FromInt32(int32(8080 + d.rand.IntN(4)))
		case 1:
			p.TargetPort = intstr.FromString(pick(d, "http", "dns", "admin", "nobody"))
		}
		if ports == 1 && d.one(2) {
			p.Name = ""
		}
		spec.Ports = append(spec.Ports, p)
	}
	_, err := d.client.CoreV1().Services(d.namespace).Create(d.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("s", i)}, Spec: spec}, metav1.CreateOptions{})
	if apierrors.IsInvalid(err) { // most providers refuse several protocols at one load balancer
		return false
	}
	d.check(err)
	return true
}

// ours are the endpoints as we see them, those without an address left out.
func (d *dealer) ours() (out []string) {
	ctx := d.Context()
	var objects []*model.Object
	add := func(kind string, v any) {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(v)
		d.check(err)
		content["apiVersion"], content["kind"] = "v1", kind
		o, _ := model.NewObject(content, nil, model.Source{})
		objects = append(objects, o)
	}
	pods, err := d.client.CoreV1().Pods(d.namespace).List(ctx, metav1.ListOptions{})
	d.check(err)
	for i := range pods.Items {
		add("Pod", &pods.Items[i])
	}
	services, err := d.client.CoreV1().Services(d.namespace).List(ctx, metav1.ListOptions{})
	d.check(err)
	for i := range services.Items {
		add("Service", &services.Items[i])
	}
	w := model.NewWorld(objects, model.WorldOptions{Live: true, Complete: true})
	for _, s := range NewServices(w, reach.NewCluster(w, reach.Upstream)).All() {
		unnamed := map[*reach.Pod]int{}
		for _, p := range s.Ports {
			for _, pod := range p.Unnamed {
				// The controller lists a pod that has none of the ports, with no port.
				if unnamed[pod]++; unnamed[pod] == len(s.Ports) {
					for _, a := range pod.Addresses {
						out = append(out, fmt.Sprintf("%s %q TCP 0: %s", s.Name, "", a))
					}
				}
			}
			for _, t := range p.Targets {
				for _, pod := range t.Pods {
					for _, a := range pod.Addresses {
						out = append(out, fmt.Sprintf("%s %q %s %d: %s", s.Name, p.Name, t.Protocol, t.Port, a))
					}
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// theirs are the endpoints that the controller wrote.
func (d *dealer) theirs() (out []string) {
	all, err := d.client.DiscoveryV1().EndpointSlices(d.namespace).List(d.Context(), metav1.ListOptions{})
	d.check(err)
	for _, slice := range all.Items {
		ports := slice.Ports
		if len(ports) == 0 { // of a headless Service without ports, or of pods that have none of them
			ports = []discoveryv1.EndpointPort{{Protocol: ptr.To(corev1.ProtocolTCP)}}
		}
		for _, p := range ports {
			for _, e := range slice.Endpoints {
				out = append(out, fmt.Sprintf("%s %q %s %d: %s", slice.Labels[discoveryv1.LabelServiceName], ptr.Deref(p.Name, ""), strings.ToUpper(string(*p.Protocol)), ptr.Deref(p.Port, 0), e.Addresses[0]))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
