#!/usr/bin/env python3
"""Writes data/ocsf.json from OCSF's compiled schema: the facts that code needs, without the descriptions.

    schema-ocsf/generate.py ocsf-1.8.0-compiled.json > schema-ocsf/data/ocsf.json

An attribute is stored once and named by its index wherever it is used. Keys are short, and absent where empty:
attribute: n name, c caption, t type, o object type, a array, r requirement (r required, c recommended, o optional),
e enum (value → caption), s sibling, p profiles, d deprecated since; class and object: n, c, u uid, g category name,
h category uid, k constraints, d, m attributes.
"""
import json
import sys


def attribute(name, a):
    out = {"n": name, "c": a["caption"], "t": a["type"]}
    if a.get("object_type"):
        out["o"] = a["object_type"]
    if a.get("is_array"):
        out["a"] = True
    out["r"] = {"required": "r", "recommended": "c"}.get(a.get("requirement"), "o")
    # type_uid's values are class_uid * 100 + activity_id: computed, not stored.
    if a.get("enum") and name != "type_uid":
        out["e"] = {k: v["caption"] for k, v in a["enum"].items()}
    if a.get("sibling"):
        out["s"] = a["sibling"]
    if a.get("profiles"):
        out["p"] = a["profiles"]
    if "@deprecated" in a:
        out["d"] = a["@deprecated"]["since"]
    return out


def main():
    schema = json.load(open(sys.argv[1], encoding="utf-8"))
    table, index = [], {}

    def intern(name, a):
        fact = attribute(name, a)
        key = json.dumps(fact, sort_keys=True)
        if key not in index:
            index[key] = len(table)
            table.append(fact)
        return index[key]

    def entity(e):
        out = {"n": e["name"], "c": e["caption"], "m": [intern(n, a) for n, a in sorted(e["attributes"].items())]}
        if "uid" in e:
            out.update(u=e["uid"], g=e.get("category_name", ""), h=e.get("category_uid", 0))
        if e.get("constraints"):
            out["k"] = e["constraints"]
        if "@deprecated" in e:
            out["d"] = e["@deprecated"]["since"]
        return out

    types = {}
    for name, t in sorted(schema["dictionary"]["types"]["attributes"].items()):
        fact = {"c": t["caption"]}
        for short, key in (("t", "type"), ("x", "regex"), ("l", "max_len"), ("g", "range"), ("v", "values"), ("b", "observable")):
            if key in t:
                fact[short] = t[key]
        types[name] = fact
    out = {
        "version": schema["version"],
        "types": types,
        "classes": {k: entity(v) for k, v in sorted(schema["classes"].items())},
        "objects": {k: entity(v) for k, v in sorted(schema["objects"].items())},
        "profiles": sorted(schema["profiles"]),
        "extensions": {k: v["uid"] for k, v in sorted(schema["extensions"].items())},
        "attributes": table,
    }
    json.dump(out, sys.stdout, ensure_ascii=False, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
