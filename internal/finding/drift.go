package finding

// DriftKind is the kind of a Drift.
const DriftKind = "Drift"

// Drift is what the findings of manifests and those of a cluster differ in, for the
// objects that the manifests have.
type Drift struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Tool       Tool   `json:"tool"`
	// Inputs are the paths; Cluster is how the cluster is named.
	Inputs  []string `json:"inputs"`
	Cluster string   `json:"cluster"`
	// OnlyInCluster are findings of objects that somebody changed, or that were never
	// changed to what the manifests say. Of a pod that differs from its template they
	// are about the pod.
	OnlyInCluster []Finding `json:"onlyInCluster"`
	// OnlyInManifests are findings that the manifests bring when they are applied.
	OnlyInManifests []Finding `json:"onlyInManifests"`
	// Both counts findings that are the same in both.
	Both int `json:"both"`
	// Untold are findings of the cluster of which the manifests cannot tell, because
	// they do not show all that a control looks at.
	Untold []Finding `json:"untold"`
	// Unjudged are findings of the manifests of which the cluster could not tell.
	Unjudged []Finding `json:"unjudged"`
	// Compared counts the objects that both have; Absent are those that the cluster
	// lacks; Ambiguous are those that several charts or kustomizations make, so that
	// none of them was compared.
	Compared  int   `json:"compared"`
	Absent    []Ref `json:"absent"`
	Ambiguous []Ref `json:"ambiguous"`
	// NotInManifests counts, by kind, objects of the cluster in the namespaces of the
	// manifests that these do not have, and that no controller made.
	NotInManifests map[string]int `json:"notInManifests"`
	Rules          []Rule         `json:"rules"`
	// Problems are inputs, and Unread kinds of the cluster, that could not be read.
	Problems []Problem `json:"problems,omitempty"`
	Unread   []Unmet   `json:"unread,omitempty"`
}
