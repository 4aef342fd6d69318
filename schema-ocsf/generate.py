#!/usr/bin/env python3
"""Writes data/ocsf.json from OCSF's compiled schema and our extensions: the facts that code needs, without the
descriptions.

    schema-ocsf/generate.py ocsf-1.8.0-compiled.json schema-ocsf/extensions/* > schema-ocsf/data/ocsf.json

The compiled schema is what `ocsf-schema-compiler` makes, and what the package `ocsf-json-schema` carries. An extension
is a folder in the form of OCSF's own; `merge` does for it what the compiler does, as far as ours need it: no includes,
profiles, patches or types.

An attribute is stored once and named by its index wherever it is used. Keys are short, and absent where empty:
attribute: n name, c caption, t type, o object type, a array, r requirement (r required, c recommended, o optional),
e enum (value → caption), x deprecated values (value → since), s sibling, p profiles, d deprecated since,
b observable type; class and object: n, c, u uid, g category name, h category uid, k constraints, f profiles, d, b,
m attributes by name; type: c, t what it narrows, x regex, l greatest length, g range, v values, b; extension: u uid,
v version.
"""
import json
import pathlib
import sys


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


class Extension:
    """An extension's folder, to be merged into a compiled schema."""

    def __init__(self, schema, folder):
        self.schema, self.info = schema, read(folder / "extension.json")
        self.dictionary = read(folder / "dictionary.json")["attributes"]
        by_name = lambda files: {e["name"]: e for e in map(read, sorted(files))}
        self.objects = by_name(folder.glob("objects/*.json"))
        self.classes = by_name(folder.glob("events/**/*.json"))

    def scoped(self, name):
        return f"{self.info['name']}/{name}"

    def defined(self, name):
        """A dictionary's attribute, with its type as compiled schemas have it. An extension may not redefine one."""
        core = self.schema["dictionary"]["attributes"]
        assert not (name in core and name in self.dictionary), f"{name} is OCSF's"
        if name in core:
            return dict(core[name])
        a = dict(self.dictionary[name])
        if not a["type"].endswith("_t"):
            a["object_type"] = self.scoped(a["type"]) if a["type"] in self.objects else a["type"]
            a["type"] = "object_t"
        return a

    def attributes(self, entity, parent):
        """The parent's attributes, and over them the entity's own; each time with its datetime sibling."""
        out = dict(parent["attributes"])
        for name, own in entity["attributes"].items():
            base = out.get(name) or self.defined(name)
            a = {**base, **own}
            if "enum" in own:
                a["enum"] = {**base.get("enum", {}), **own["enum"]}
            if "profile" in a:
                a["profiles"] = [a["profile"]] if a["profile"] else None
            out[name] = a
            if a["type"] == "timestamp_t":
                twin = {"type": "datetime_t", "requirement": "optional", "profiles": ["datetime"]}
                out[f"{name}_dt"] = {**a, **twin}
        return out

    def profiles(self, entity, parent):
        """The parent's, and those of all that it holds."""
        out = set(parent.get("profiles") or [])
        for a in entity["attributes"].values():
            out.update(a.get("profiles") or [], self.schema["objects"].get(a.get("object_type"), {}).get("profiles") or [])
        return sorted(out)

    def entity(self, own, kind):
        parent = self.schema[kind].get(own["extends"])
        assert parent, f"{own['name']} extends {own['extends']}, which OCSF has not"
        out = {**own, "attributes": self.attributes(own, parent)}
        if "observable" in parent:
            out.setdefault("observable", parent["observable"])
        out["profiles"] = self.profiles(out, parent)
        return out

    def object(self, name):
        """Puts an object of ours into the schema, after those that it holds."""
        if self.scoped(name) in self.schema["objects"]:
            return
        own = self.objects[name]
        for attribute in own["attributes"]:
            held = self.dictionary.get(attribute, {}).get("type")
            if held in self.objects and held != name:
                self.object(held)
        self.schema["objects"][self.scoped(name)] = self.entity(own, "objects")

    def classified(self, c):
        """Uids and their captions: a class's number is within its extension and category."""
        category = self.schema["categories"]["attributes"][c["category"]]
        c["category_uid"] = category["uid"]
        c["uid"] += self.info["uid"] * 100_000 + category["uid"] * 1_000
        one = lambda uid, caption: {str(uid): {"caption": caption}}
        activities = c["attributes"]["activity_id"]["enum"].items()
        enums = {
            "class_uid": one(c["uid"], c["caption"]),
            "category_uid": one(category["uid"], category["caption"]),
            "type_uid": {
                str(c["uid"] * 100 + int(k)): {"caption": f"{c['caption']}: {v['caption']}"} for k, v in activities
            },
        }
        for name, values in enums.items():
            c["attributes"][name] = {**c["attributes"][name], "enum": values}

    def merge(self):
        for name in self.objects:
            self.object(name)
        for name, own in self.classes.items():
            c = self.entity(own, "classes")
            self.classified(c)
            self.schema["classes"][self.scoped(name)] = c
        self.schema["extensions"][self.info["name"]] = self.info


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
    schema = read(pathlib.Path(sys.argv[1]))
    for folder in sys.argv[2:]:
        Extension(schema, pathlib.Path(folder)).merge()
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
        "extensions": {k: {"u": v["uid"], "v": v["version"]} for k, v in sorted(schema["extensions"].items())},
        "attributes": table,
    }
    # Sorted, so that the order of keys in the input does not matter.
    json.dump(out, sys.stdout, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    print()


if __name__ == "__main__":
    main()
