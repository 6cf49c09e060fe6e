package reach

// spoilers are ways to write a NetworkPolicy that the API server refuses.
var spoilers = []func(spec map[string]any){
	func(s map[string]any) { s["policyTypes"] = []any{"Both"} },
	func(s map[string]any) { s["policyTypes"] = []any{"Ingress", "Egress", "Ingress"} },
	func(s map[string]any) {
		s["podSelector"] = map[string]any{"matchLabels": map[string]any{"-bad-": "x"}}
	},
	func(s map[string]any) {
		s["podSelector"] = map[string]any{"matchExpressions": []any{map[string]any{"key": "app", "operator": "In", "values": []any{}}}}
	},
	func(s map[string]any) {
		s["podSelector"] = map[string]any{"matchExpressions": []any{map[string]any{"key": "app", "operator": "Exists", "values": []any{"x"}}}}
	},
	func(s map[string]any) {
		s["podSelector"] = map[string]any{"matchExpressions": []any{map[string]any{"key": "app", "operator": "Gt", "values": []any{"1"}}}}
	},
	func(s map[string]any) { s["ingress"] = spoiledPeer(map[string]any{}) },
	func(s map[string]any) {
		s["ingress"] = spoiledPeer(map[string]any{"ipBlock": map[string]any{"cidr": "10.0.0.0/8"}, "podSelector": map[string]any{}})
	},
	func(s map[string]any) { s["ingress"] = spoiledBlock("10.0.0.0/33") },
	func(s map[string]any) { s["ingress"] = spoiledBlock("10.0.0.1") },
	func(s map[string]any) { s["ingress"] = spoiledBlock("") },
	func(s map[string]any) { s["ingress"] = spoiledBlock("10.0.0.0/8", "10.0.0.0/8") },
	func(s map[string]any) { s["ingress"] = spoiledBlock("10.0.0.0/8", "11.0.0.0/9") },
	func(s map[string]any) { s["ingress"] = spoiledBlock("10.0.0.0/8", "fd00::/16") },
	func(s map[string]any) { s["ingress"] = spoiledBlock("10.0.0.0/8", "x") },
	func(s map[string]any) { s["ingress"] = spoiledPort(map[string]any{"protocol": "ICMP"}) },
	func(s map[string]any) { s["ingress"] = spoiledPort(map[string]any{"protocol": ""}) },
	func(s map[string]any) { s["ingress"] = spoiledPort(map[string]any{"port": int64(0)}) },
	func(s map[string]any) { s["ingress"] = spoiledPort(map[string]any{"port": int64(65536)}) },
	func(s map[string]any) { s["ingress"] = spoiledPort(map[string]any{"port": ""}) },
	func(s map[string]any) { s["ingress"] = spoiledPort(map[string]any{"port": "Not A Name"}) },
	func(s map[string]any) { s["ingress"] = spoiledPort(map[string]any{"port": "80"}) },
	func(s map[string]any) { s["ingress"] = spoiledPort(map[string]any{"endPort": int64(80)}) },
	func(s map[string]any) {
		s["ingress"] = spoiledPort(map[string]any{"port": int64(80), "endPort": int64(79)})
	},
	func(s map[string]any) {
		s["ingress"] = spoiledPort(map[string]any{"port": int64(80), "endPort": int64(70000)})
	},
	func(s map[string]any) {
		s["ingress"] = spoiledPort(map[string]any{"port": "http", "endPort": int64(80)})
	},
	func(s map[string]any) { s["ingress"] = "all" },
}

func spoiledPeer(peer map[string]any) []any {
	return []any{map[string]any{}, map[string]any{"from": []any{peer}}}
}

func spoiledBlock(cidr string, except ...any) []any {
	return spoiledPeer(map[string]any{"ipBlock": map[string]any{"cidr": cidr, "except": except}})
}

func spoiledPort(port map[string]any) []any {
	return []any{map[string]any{}, map[string]any{"ports": []any{port}}}
}

func spoil(d *dealer, content map[string]any) {
	spec, _ := content["spec"].(map[string]any)
	pick(d, spoilers)(spec)
}

// tierSpoilers are ways to write a policy of a tier, in either version, that its
// definition refuses.
var tierSpoilers = []func(spec map[string]any){
	func(s map[string]any) { s["tier"], s["priority"] = "Middle", int64(1001) },
	func(s map[string]any) { s["priority"] = int64(-1) },
	func(s map[string]any) { s["subject"] = map[string]any{} },
	func(s map[string]any) {
		s["subject"] = map[string]any{"namespaces": map[string]any{}, "pods": map[string]any{"podSelector": map[string]any{}}}
	},
	func(s map[string]any) {
		s["subject"] = map[string]any{"namespaces": map[string]any{"matchLabels": map[string]any{"a b": "x"}}}
	},
	func(s map[string]any) { s["egress"] = tierRule("Drop", map[string]any{"namespaces": map[string]any{}}) },
	func(s map[string]any) { s["egress"] = []any{map[string]any{"action": "Deny"}} },
	func(s map[string]any) {
		s["egress"] = tierRule("Deny", map[string]any{"namespaces": map[string]any{}, "networks": []any{"10.0.0.0/8"}})
	},
	func(s map[string]any) { s["egress"] = tierRule("Deny", map[string]any{"networks": []any{"10.0.0.0"}}) },
	func(s map[string]any) {
		s["egress"] = tierRule("Deny", map[string]any{"networks": []any{"::ffff:10.0.0.0/104"}})
	},
	func(s map[string]any) {
		s["egress"] = tierRule("Deny", map[string]any{"domainNames": []any{"example.com"}})
	},
	func(s map[string]any) {
		s["egress"] = tierRule("Deny", map[string]any{"nodes": map[string]any{"matchExpressions": []any{map[string]any{"key": "a", "operator": "None"}}}})
	},
	func(s map[string]any) {
		s["ingress"] = []any{map[string]any{"action": "Deny", "from": []any{map[string]any{"namespaces": map[string]any{}}},
			"protocols": []any{map[string]any{}}, "ports": []any{map[string]any{}}}}
	},
	func(s map[string]any) {
		s["ingress"] = []any{map[string]any{"action": "Deny", "from": []any{map[string]any{"namespaces": map[string]any{}}},
			"protocols": []any{map[string]any{"tcp": map[string]any{"destinationPort": map[string]any{"number": int64(70000)}}}},
			"ports":     []any{map[string]any{"portNumber": map[string]any{"protocol": "TCP", "port": int64(0)}}}}}
	},
	func(s map[string]any) {
		s["egress"] = []any{map[string]any{"action": "Deny", "to": []any{map[string]any{"networks": []any{"10.0.0.0/8"}}},
			"protocols": []any{map[string]any{"destinationNamedPort": "http"}}, "ports": []any{map[string]any{"namedPort": "http"}}}}
	},
	func(s map[string]any) { s["egress"] = "none" },
}

func tierRule(action string, peer map[string]any) []any {
	return []any{map[string]any{"action": action, "to": []any{peer}}}
}

func spoilTier(d *dealer, content map[string]any) {
	spec, _ := content["spec"].(map[string]any)
	pick(d, tierSpoilers)(spec)
}
