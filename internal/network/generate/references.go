package generate

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"bulkhead.dev/bulkhead/internal/model"
	"bulkhead.dev/bulkhead/internal/network/entry"
	"bulkhead.dev/bulkhead/internal/network/reach"
)

// maxText is how much of one text is looked through.
const maxText = 1 << 20

// text is something that a workload is told: a variable, an argument, a file.
type text struct {
	value string
	// what it is, in words, and where it is written.
	what   string
	object *model.Object
	at     model.Path
	// hint is the name of the variable or option that it is the value of.
	hint string
	// siblings are the variables of the same container.
	siblings map[string]string
	// quiet says that some of it comes from a Secret: nothing of it is told but the names of
	// Services.
	quiet bool
	// file says that it is a file: it may name hosts that are no peers, so that only
	// Services count.
	file bool
}

// references wants what workloads name: Services in variables, arguments, commands and
// files of ConfigMaps.
func (m *manifests) references() {
	for _, p := range m.first {
		if p.Object == nil || p.Object.Pod() == nil {
			continue
		}
		from := WorkloadOf(p)
		for _, t := range m.texts(p) {
			m.scan(from, t)
		}
	}
}

// texts are all that the containers of a pod are told.
func (m *manifests) texts(p *reach.Pod) (out []text) {
	pod := p.Object.Pod()
	for c := range pod.Containers() {
		env, secret, texts := m.environment(p, c)
		out = append(out, texts...)
		for _, field := range []string{"command", "args"} {
			list := model.Strings(c.Content[field])
			for i, value := range list {
				hint := ""
				if option, rest, ok := strings.Cut(value, "="); ok && strings.HasPrefix(option, "-") {
					hint, value = option, rest
				} else if i > 0 && strings.HasPrefix(list[i-1], "-") && !strings.Contains(list[i-1], "=") {
					hint = list[i-1]
				}
				out = append(out, text{value: expand(value, env), quiet: usesSecret(value, secret), what: fmt.Sprintf("%s of container %s", field, c.Name), object: p.Object,
					at: c.Path.Keys(field).Append(model.Index(i)), hint: hint, siblings: env})
			}
		}
	}
	return append(out, m.files(p, pod)...)
}

// environment are the variables of a container, as far as they are given, and which of
// them come from Secrets.
func (m *manifests) environment(p *reach.Pod, c model.Container) (map[string]string, map[string]bool, []text) {
	env, secret := map[string]string{}, map[string]bool{}
	var out []text
	list, _ := c.Content["envFrom"].([]any)
	for i, item := range list {
		for _, kind := range []string{"ConfigMap", "Secret"} {
			ref := map[string]string{"ConfigMap": "configMapRef", "Secret": "secretRef"}[kind]
			name, _ := model.Get(item, ref, "name").(string)
			for key, value := range m.data(kind, p.Namespace, name) {
				env[key], secret[key] = value, kind == "Secret"
				out = append(out, text{value: value, quiet: kind == "Secret", what: fmt.Sprintf("%s %s of container %s", kind, name, c.Name), object: p.Object, at: c.Path.Keys("envFrom").Append(model.Index(i)), hint: key, siblings: env})
			}
		}
	}
	list, _ = c.Content["env"].([]any)
	for i, item := range list {
		name, _ := model.Get(item, "name").(string)
		value, known, hidden := m.variable(p, item)
		if !known {
			delete(env, name)
			continue
		}
		secret[name] = hidden || usesSecret(value, secret)
		value = expand(value, env)
		env[name] = value
		out = append(out, text{value: value, quiet: secret[name], what: fmt.Sprintf("env %s of container %s", name, c.Name), object: p.Object, at: c.Path.Keys("env").Append(model.Index(i)), hint: name, siblings: env})
	}
	slices.SortStableFunc(out, func(a, b text) int { return strings.Compare(a.hint, b.hint) })
	return env, secret, out
}

// variable is the value of a variable, whether it is known, and whether it comes from a
// Secret.
func (m *manifests) variable(p *reach.Pod, item any) (value string, known, secret bool) {
	text := func(keys ...string) string { s, _ := model.Get(item, keys...).(string); return s }
	if model.Get(item, "valueFrom") == nil {
		return text("value"), true, false
	}
	for _, kind := range []string{"ConfigMap", "Secret"} {
		ref := map[string]string{"ConfigMap": "configMapKeyRef", "Secret": "secretKeyRef"}[kind]
		if name := text("valueFrom", ref, "name"); name != "" {
			value, known = m.data(kind, p.Namespace, name)[text("valueFrom", ref, "key")]
			return value, known, kind == "Secret"
		}
	}
	if text("valueFrom", "fieldRef", "fieldPath") == "metadata.namespace" {
		return p.Namespace, true, false
	}
	return "", false, false
}

// usesSecret reports whether a text has a variable in it that comes from a Secret.
func usesSecret(value string, secret map[string]bool) bool {
	for _, match := range variable.FindAllStringSubmatch(value, -1) {
		if secret[match[1]] {
			return true
		}
	}
	return false
}

// files are the ConfigMaps and Secrets that a pod mounts.
func (m *manifests) files(p *reach.Pod, pod *model.Pod) (out []text) {
	volumes, _ := pod.Spec["volumes"].([]any)
	for i, v := range volumes {
		at := pod.SpecPath().Keys("volumes").Append(model.Index(i))
		sources, _ := model.Get(v, "projected", "sources").([]any)
		for _, from := range append([]any{v}, sources...) {
			for _, kind := range []string{"ConfigMap", "Secret"} {
				name, _ := model.Get(from, map[string]string{"ConfigMap": "configMap", "Secret": "secret"}[kind], "name").(string)
				if name == "" && kind == "Secret" {
					name, _ = model.Get(from, "secret", "secretName").(string)
				}
				for key, value := range m.data(kind, p.Namespace, name) {
					out = append(out, text{value: value, what: fmt.Sprintf("%s %s, file %s", kind, name, key), object: p.Object, at: at, file: true, quiet: kind == "Secret"})
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b text) int { return strings.Compare(a.what, b.what) })
	return out
}

// variable is one that the kubelet puts in: $(NAME).
var variable = regexp.MustCompile(`\$\(([A-Za-z_][A-Za-z0-9_]*)\)`)

// expand puts variables in, those that are known. What would get too long stays as it is.
func expand(value string, env map[string]string) string {
	if !strings.Contains(value, "$(") {
		return value
	}
	var out strings.Builder
	end := 0
	for _, at := range variable.FindAllStringSubmatchIndex(value, -1) {
		if known, ok := env[value[at[2]:at[3]]]; ok {
			out.WriteString(value[end:at[0]])
			out.WriteString(known)
			end = at[1]
		}
		if out.Len() > maxText {
			return value
		}
	}
	out.WriteString(value[end:])
	return out.String()
}

var (
	// host is a name or an address, with a port or without.
	host = regexp.MustCompile(`[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?(?::([0-9]{1,5}))?`)
	// serviceVariable is one that the kubelet makes for each Service.
	serviceVariable = regexp.MustCompile(`\b([A-Z][A-Z0-9_]*)_SERVICE_(?:HOST|PORT)\b`)
	// hinting are words in the names of variables and options whose value is a host.
	hinting = regexp.MustCompile(`(?i)(host|addr|url|uri|server|endpoint|service|upstream|broker|dsn|target|peer|connect|backend|proxy|domain|sink|remote|seed|node)`)
)

// mentions are the hosts that a text names, and the variables of Services.
type mentions struct {
	hosts     []reference
	variables []string
}

// longText is how long a text is of which it is kept what it names.
const longText = 1 << 12

// scan looks for what a text names.
func (m *manifests) scan(from End, t text) {
	if len(t.value) > maxText {
		m.note(from.String(), t.what+" is too long to be looked through", t.object, t.at)
		return
	}
	found, ok := m.named[t.value]
	if !ok {
		found = mentioned(t.value)
		if len(t.value) > longText {
			if m.named == nil {
				m.named = map[string]mentions{}
			}
			m.named[t.value] = found
		}
	}
	for _, r := range found.hosts {
		m.names(from, t, r)
	}
	variables := found.variables
	if match := serviceVariable.FindStringSubmatch(t.hint); match != nil {
		variables = append(slices.Clip(variables), match[1])
	}
	for _, name := range variables {
		for _, s := range m.services.All() {
			if s.Namespace == from.Namespace && strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_")) == name {
				m.reference(from, t, s, reference{name: s.Name})
			}
		}
	}
}

// mentioned finds what a text names.
func mentioned(value string) (out mentions) {
	seen := map[string]bool{}
	for _, at := range host.FindAllStringSubmatchIndex(value, -1) {
		found := value[at[0]:at[1]]
		before, after := value[:at[0]], value[at[1]:]
		if !bounded(before, after) || seen[found] {
			continue
		}
		seen[found] = true
		name, port, _ := strings.Cut(found, ":")
		number, err := strconv.ParseUint("0"+port, 10, 16)
		r := reference{strings.ToLower(name), uint16(number), port != "", strings.HasSuffix(before, "://") || strings.HasSuffix(before, "@"), found == value}
		if err == nil && (r.ported || r.linked || r.whole || strings.Contains(name, ".")) { // else it is a word
			out.hosts = append(out.hosts, r)
		}
	}
	for _, match := range serviceVariable.FindAllStringSubmatch(value, -1) {
		if !slices.Contains(out.variables, match[1]) {
			out.variables = append(out.variables, match[1])
		}
	}
	return out
}

// bounded reports whether what stands between two texts is a host and no part of a longer
// word, of a path or of the name of an image.
func bounded(before, after string) bool {
	if before != "" && !strings.HasSuffix(before, "://") {
		if last := before[len(before)-1]; strings.IndexByte(" \t\r\n\"'`=,;([{<@|", last) < 0 {
			return false
		}
	}
	return after == "" || strings.IndexByte(" \t\r\n\"'`/,;)]}>|?&#\\", after[0]) >= 0
}

// reference is a host as it is named.
type reference struct {
	name string
	port uint16
	// ported says that it has a port, linked that a scheme or a user stands before it, whole
	// that nothing else is in the text.
	ported, linked, whole bool
}

// names wants what a name stands for.
func (m *manifests) names(from End, t text, r reference) {
	if a, err := netip.ParseAddr(r.name); err == nil {
		m.address(from, t, r, a)
		return
	}
	parts := strings.Split(r.name, ".")
	s := m.serviceOf(from.Namespace, parts)
	if len(parts) == 1 && !r.ported && !r.linked {
		if s == nil || !r.whole || t.file {
			return
		}
		if !hinting.MatchString(t.hint) {
			if !t.quiet && !m.own(from, s) {
				m.note(from.String(), fmt.Sprintf("%s is the name of Service %s, and may mean something else: it does not count", t.what, s), t.object, t.at)
			}
			return
		}
	}
	switch {
	case s != nil:
		if r.port == 0 {
			r.port = siblingPort(t)
		}
		m.reference(from, t, s, r)
	case t.quiet:
	case len(parts) > 2 && slices.Contains(parts[1:], "svc"):
		m.note(from.String(), fmt.Sprintf("%s names %s, a Service that is not in the input: it is not let through", t.what, r.name), t.object, t.at)
	case r.linked && len(parts) > 1 && !t.file && r.name != "example.com":
		m.note(from.String(), fmt.Sprintf("%s names %s outside of the cluster: a NetworkPolicy knows no names; say its addresses in a file of intents", t.what, r.name), t.object, t.at)
	}
}

// own reports whether a Service leads to the workload itself.
func (m *manifests) own(from End, s *entry.Service) bool {
	return slices.ContainsFunc(s.Pods, func(p *reach.Pod) bool { return WorkloadOf(p) == from })
}

// serviceOf is the Service that a name stands for: SERVICE, SERVICE.NAMESPACE,
// SERVICE.NAMESPACE.svc and what follows, or the name of a pod before one of them.
func (m *manifests) serviceOf(namespace string, parts []string) *entry.Service {
	if len(parts) > 3 && parts[3] == "svc" {
		return m.services.Get(parts[2], parts[1])
	}
	if len(parts) > 2 {
		if parts[2] == "svc" {
			return m.services.Get(parts[1], parts[0])
		}
		if s := m.services.Get(parts[2], parts[1]); s != nil && s.Headless && len(parts) == 3 {
			return s
		}
		return nil
	}
	if len(parts) == 2 {
		if s := m.services.Get(parts[1], parts[0]); s != nil {
			return s
		}
		if s := m.services.Get(namespace, parts[1]); s != nil && s.Headless {
			return s
		}
		return nil
	}
	return m.services.Get(namespace, parts[0])
}

// siblingPort is the port that a variable of the same container says beside a host:
// DB_PORT for DB_HOST. It is 0 where there is none.
func siblingPort(t text) uint16 {
	for _, ending := range []string{"HOST", "HOSTNAME", "ADDR", "ADDRESS", "SERVER", "host"} {
		prefix, ok := strings.CutSuffix(t.hint, ending)
		if !ok {
			continue
		}
		for _, name := range []string{prefix + "PORT", prefix + "port"} {
			if n, err := strconv.ParseUint(t.siblings[name], 10, 16); err == nil {
				return uint16(n)
			}
		}
	}
	return 0
}

// reference wants what a port of a Service leads to.
func (m *manifests) reference(from End, t text, s *entry.Service, r reference) {
	why := Evidence{Text: fmt.Sprintf("%s names Service %s", t.what, s), At: t.object.Locate(t.at)}
	protocols := []reach.Protocol{reach.TCP}
	if r.port == 0 && r.linked { // a scheme has a port of its own, if it is one of the Service
		r.port = schemePort(t.value, r.name, s)
	}
	if r.port != 0 {
		why.Text += fmt.Sprintf(" by port %d", r.port)
		var has []reach.Protocol
		for _, p := range s.Ports {
			if p.Port == r.port {
				has = append(has, p.Protocol)
			}
		}
		if len(has) > 0 {
			protocols = has
		}
	}
	for _, protocol := range protocols {
		if err := m.toService(from, s, protocol, r.port, why); err != nil && !t.quiet {
			m.note(from.String(), fmt.Sprintf("%s: %v: nothing is let through for it", why.Text, err), t.object, t.at)
		}
	}
}

// schemePort is the port that the scheme before a name stands for, if the Service has it.
func schemePort(value, name string, s *entry.Service) uint16 {
	for scheme, port := range map[string]uint16{"http": 80, "https": 443, "ws": 80, "wss": 443, "redis": 6379, "postgres": 5432, "postgresql": 5432, "mysql": 3306, "amqp": 5672, "mongodb": 27017, "nats": 4222, "ldap": 389} {
		if strings.Contains(value, scheme+"://"+name) || strings.Contains(value, scheme+"://") && strings.Contains(value, "@"+name) {
			if slices.ContainsFunc(s.Ports, func(p entry.ServicePort) bool { return p.Port == port }) {
				return port
			}
		}
	}
	return 0
}

// address wants an address that is named with a port: that of a Service, or one outside.
func (m *manifests) address(from End, t text, r reference, a netip.Addr) {
	if !r.ported && !r.linked || t.quiet || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || t.file {
		return
	}
	for _, s := range m.services.All() {
		if s.Object.Text("spec", "clusterIP") == a.String() {
			m.reference(from, t, s, r)
			return
		}
	}
	if r.port == 0 {
		m.note(from.String(), fmt.Sprintf("%s names the address %s without a port: it is not let through", t.what, a), t.object, t.at)
		return
	}
	m.want(from, End{Kind: Block, Name: netipBlock(a)}, reach.OnePort(reach.TCP, r.port), Evidence{Text: fmt.Sprintf("%s names %s", t.what, netip.AddrPortFrom(a, r.port)), At: t.object.Locate(t.at)})
}

func netipBlock(a netip.Addr) string { return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()).String() }
