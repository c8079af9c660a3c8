"""The language of rule packs: YAML nodes, expressions, columns, messages, and the rules made of them."""
