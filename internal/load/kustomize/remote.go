package kustomize

import (
	"net/url"
	"regexp"
	"strings"

	"sigs.k8s.io/kustomize/api/resource"
)

var (
	// hasScheme is a URL of any kind (https://, oci://, file://), and the
	// prefixes that name how to fetch (git::).
	hasScheme = regexp.MustCompile(`^\s*[A-Za-z][A-Za-z0-9+.-]*(?:://|::)`)
	// scpStyle is git's short form of ssh, user@host:path.
	scpStyle = regexp.MustCompile(`^\s*[^\s/@:]+@[^\s/@:]+:`)
	// gitHub is a repository without a scheme, which kustomize takes as one.
	gitHub = regexp.MustCompile(`(?i)^\s*github\.com[/:]`)
)

// isRemote reports whether kustomize would fetch ref rather than read a file.
func isRemote(ref string) bool {
	if hasScheme.MatchString(ref) || scpStyle.MatchString(ref) || gitHub.MatchString(ref) {
		return true
	}
	// kustomize's own rules, should they know more: what it fetches by HTTP,
	u, err := url.Parse(ref)
	if err == nil && (strings.EqualFold(u.Scheme, "http") || strings.EqualFold(u.Scheme, "https")) {
		return true
	}
	// and what it clones: only then does an origin get a repository.
	return (&resource.Origin{}).Append(ref).Repo != ""
}
