package finding

// FixResultKind is the kind of a FixResult.
const FixResultKind = "FixResult"

// FixResult is what a fix did to files or a cluster, or would do.
type FixResult struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Tool       Tool     `json:"tool"`
	Inputs     []string `json:"inputs"`
	// Written says that the files were changed on disk, or the objects in the cluster.
	Written bool `json:"written"`
	// Proof says how the changes of a cluster were proven; empty for files.
	Proof   FixProof   `json:"proof,omitempty"`
	Summary FixSummary `json:"summary"`
	// Fixed are findings that a second scan, of the changed files, no longer has.
	Fixed []FixedFinding `json:"fixed"`
	Left  []LeftFinding  `json:"left"`
	Files []FileChange   `json:"files"`
	// Objects are the changes of a cluster.
	Objects []ObjectChange `json:"objects,omitempty"`
	// Notes say what drives what, and what was written in another way than it was.
	Notes    []string  `json:"notes,omitempty"`
	Rules    []Rule    `json:"rules"`
	Problems []Problem `json:"problems,omitempty"`
	// Unknown is what could not be judged, and so is not fixed.
	Unknown []Unmet `json:"unknown,omitempty"`
}

// FixSummary counts findings.
type FixSummary struct {
	// Found are the open failures that the fix was asked for; Fixed and Left add up
	// to them.
	Found int `json:"found"`
	Fixed int `json:"fixed"`
	Left  int `json:"left"`
	// New are findings that only the second scan has. A change that brings one is
	// taken back, so it is 0.
	New int `json:"new"`
	// Objects and Files are how many were changed.
	Objects int `json:"objects"`
	Files   int `json:"files"`
}

// FixedFinding is a finding, as it was, and what is changed for it.
type FixedFinding struct {
	Finding
	// Replacements are the change for this finding alone, of the text as it was;
	// empty where a value or a patch elsewhere makes it.
	Replacements []Replacement `json:"replacements,omitempty"`
}

// Replacement puts text in the place of whole lines of a file. Line is the first
// of them, counted from 1; where there are none, the text goes before it.
type Replacement struct {
	File  string `json:"file"`
	Line  int    `json:"line"`
	Lines int    `json:"lines"`
	Text  string `json:"text"`
}

// LeftFinding is a finding that is still there, and why.
type LeftFinding struct {
	Finding
	Cause  LeftCause `json:"cause"`
	Reason string    `json:"reason"`
}

// LeftCause is why a finding was left.
type LeftCause string

const (
	// LeftDecision needs a person to decide; the reason says what.
	LeftDecision LeftCause = "decision"
	// LeftRisky may break something; the reason says what.
	LeftRisky LeftCause = "risky"
	// LeftRefused cannot be written where the object comes from.
	LeftRefused LeftCause = "refused"
	// LeftDeclined was offered and not wanted.
	LeftDeclined LeftCause = "declined"
	// LeftUnproven was changed, and the second scan had it still, or another one;
	// the change was taken back.
	LeftUnproven LeftCause = "unproven"
)

// FileChange is the change of one file, as a unified diff that git applies.
type FileChange struct {
	Path string `json:"path"`
	New  bool   `json:"new,omitempty"`
	Diff string `json:"diff"`
}

// FixProof says how the changes of a cluster were proven.
type FixProof string

const (
	// ProofOffline is a judgement of the objects as they would be; the API server was
	// not asked.
	ProofOffline FixProof = "offline"
	// ProofDryRun is one of what the API server, its admission included, made of the
	// changes in a dry run.
	ProofDryRun FixProof = "dry-run"
	// ProofReadBack is, after a dry run, one of the changed objects read again.
	ProofReadBack FixProof = "read-back"
)

// ObjectChange is the change of one object of a cluster.
type ObjectChange struct {
	Object Ref `json:"object"`
	// Type is how the change is said: apply, for server-side apply, or json, for a
	// JSON Patch.
	Type string `json:"type"`
	// Patch is the object to apply, or the list of operations.
	Patch any `json:"patch"`
	// Managers own fields that the change takes over.
	Managers []string `json:"managers,omitempty"`
	// Keeper puts the object back as it was, if its source is not changed too.
	Keeper string `json:"keeper,omitempty"`
	// Done says that the object was changed; Failure says why it was not, though that
	// was wanted.
	Done    bool   `json:"done"`
	Failure string `json:"failure,omitempty"`
}
