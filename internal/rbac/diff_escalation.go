package rbac

import "slices"

// EscalationDiff is who can become whom in one of two worlds and not in the other.
type EscalationDiff struct {
	// Gained become cluster admin and could not before; Lost could, and no longer do.
	// Those that are meant to be powerful are left out.
	Gained, Lost []Escalation
	// Becomes are chains to somebody else than cluster admin that subjects with more
	// permissions than before can take, and could not: each needs a request that was
	// not allowed.
	Becomes []Escalation
	// Unfollowed counts the subjects beyond maxFollowed, of which Becomes says nothing.
	Unfollowed int
}

// maxFollowed bounds of how many subjects it is told whom they become.
const maxFollowed = 500

// DiffEscalations compares who can become whom in two worlds, of which Diff has told
// the changes.
func DiffEscalations(before, after *Escalations, changes []SubjectChange) EscalationDiff {
	d := EscalationDiff{Gained: newAdmins(before, after), Lost: newAdmins(after, before)}
	told := map[Subject]bool{}
	for _, e := range after.ToAdmin() {
		told[e.From] = true
	}
	followed := 0
	for _, c := range changes {
		if len(c.Gained) == 0 || told[c.Subject] {
			continue
		}
		if followed++; followed > maxFollowed {
			d.Unfollowed++
			continue
		}
		d.Becomes = append(d.Becomes, newlyBecomes(before, after, c.Subject)...)
	}
	return d
}

// newAdmins are those who become cluster admin in the second world only.
func newAdmins(before, after *Escalations) []Escalation {
	could := map[Subject]bool{}
	for _, e := range before.ToAdmin() {
		could[e.From] = true
	}
	var out []Escalation
	for _, e := range after.ToAdmin() {
		if e.Meant || could[e.From] {
			continue
		}
		// Who could by a group is not listed beside it.
		if all, _ := before.From(e.From, nil); !slices.ContainsFunc(all, Escalation.ToAdmin) {
			out = append(out, e)
		}
	}
	return out
}

// newlyBecomes are the chains of a subject that end at somebody whom it could not
// become, because of a request that nobody in the chain was allowed.
func newlyBecomes(before, after *Escalations, s Subject) []Escalation {
	could := map[string]bool{}
	all, _ := before.From(s, nil)
	for _, e := range all {
		could[e.Last().String()] = true
	}
	var out []Escalation
	now, _ := after.From(s, nil)
	for _, e := range now {
		if !could[e.Last().String()] && before.refuses(e) {
			out = append(out, e)
		}
	}
	return out
}

// refuses reports whether a chain needs a request of bindings that none of those who
// take part in it is allowed here.
func (e *Escalations) refuses(chain Escalation) bool {
	actors := []Identity{IdentityOf(chain.From)}
	for _, step := range chain.Steps {
		for _, n := range step.Needs {
			if n.Grant == nil {
				continue // an earlier step gives it
			}
			if !slices.ContainsFunc(actors, func(who Identity) bool {
				_, allowed, _ := e.access.Can(who, n.Request)
				return allowed
			}) {
				return true
			}
		}
		if step.To.Subject != nil {
			actors = append(actors, IdentityOf(*step.To.Subject))
		}
	}
	return false
}
