#!/usr/bin/env python3
"""Writes data/ocsf.json from OCSF's compiled schema: the facts that code needs, without the descriptions.

    schema-ocsf/generate.py ocsf-1.8.0-compiled.json > schema-ocsf/data/ocsf.json

An attribute is stored once and named by its index wherever it is used. Keys are short, and absent where empty:
attribute: n name, c caption, t type, o object type, a array, r requirement (r required, c recommended, o optional),
e enum (value → caption), x deprecated values (value → since), s sibling, p profiles, d deprecated since,
b observable type; class and object: n, c, u uid, g category name, h category uid, k constraints, f profiles, d, b,
m attributes by name; type: c, t what it narrows, x regex, l greatest length, g range, v values, b.
"""
import json
import sys


def enum(name, a):
    # type_uid's values are class_uid * 100 + activity_id and their captions "Class: Activity": computed, not stored.
    return {} if name == "type_uid" else a.get("enum") or {}


def attribute(name, a):
    out = {"n": name, "c": a["caption"], "t": a["type"]}
    if a.get("object_type"):
        out["o"] = a["object_type"]
    if a.get("is_array"):
        out["a"] = True
    out["r"] = {"required": "r", "recommended": "c", "optional": "o"}[a["requirement"]]
    values = enum(name, a)
    if values:
        out["e"] = {k: v["caption"] for k, v in values.items()}
    old = {k: v["@deprecated"]["since"] for k, v in values.items() if "@deprecated" in v}
    if old:
        out["x"] = old
    for short, key in (("s", "sibling"), ("p", "profiles"), ("b", "observable")):
        if a.get(key):
            out[short] = a[key]
    if "@deprecated" in a:
        out["d"] = a["@deprecated"]["since"]
    return out


def check_type_uid(c):
    """What is computed has to be what the schema says."""
    activities = c["attributes"]["activity_id"]["enum"]
    computed = {str(c["uid"] * 100 + int(k)): f"{c['caption']}: {v['caption']}" for k, v in activities.items()}
    stated = {k: v["caption"] for k, v in c["attributes"]["type_uid"]["enum"].items()}
    assert computed == stated, (c["name"], computed, stated)


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
            check_type_uid(e)
            out.update(u=e["uid"], g=e["category"], h=e["category_uid"])
        for short, key in (("k", "constraints"), ("f", "profiles"), ("b", "observable")):
            if e.get(key):
                out[short] = e[key]
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
        "categories": {k: v["caption"] for k, v in sorted(schema["categories"]["attributes"].items())},
        "classes": {k: entity(v) for k, v in sorted(schema["classes"].items())},
        "objects": {k: entity(v) for k, v in sorted(schema["objects"].items())},
        "profiles": {k: v["caption"] for k, v in sorted(schema["profiles"].items())},
        "extensions": {k: v["uid"] for k, v in sorted(schema["extensions"].items())},
        "attributes": table,
    }
    json.dump(out, sys.stdout, ensure_ascii=False, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
