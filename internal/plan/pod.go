package plan

// What provision gives a proxy's Pod on Kubernetes, and the proxy's command takes from it.
const (
	AdminPort     = 9901 // on loopback
	HealthPort    = 9902 // /healthz, /readyz and /metrics, on the Pod's address
	TokenAudience = "ebbgate-controller"
	TrustFolder   = "/var/run/secrets/ebbgate" // where the two files are
	TokenFile     = TrustFolder + "/token"     // a ServiceAccount token of TokenAudience, renewed by the kubelet
	CAFile        = TrustFolder + "/ca.crt"    // in PEM, what the controller's certificate is verified by
)

// ProxyPorts are those that no listener can have on Kubernetes.
func ProxyPorts() []int { return []int{AdminPort, HealthPort} }
