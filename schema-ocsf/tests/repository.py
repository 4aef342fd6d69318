"""A schema repository, in the form that OCSF's tools read, out of the compiled schema: OCSF's own repository is in no
package registry. What stands in it is complete for objects, the dictionary and the base event; other classes and the
platform extensions are left out.
"""
import json
import shutil

KEPT = ("caption", "description", "requirement", "group", "enum", "references", "source", "@deprecated")
# What OCSF's metaschema asks of these files, as far as an extension can get it wrong.
TEXT = {"type": "string"}
NAME = {"type": "string", "pattern": "^[a-z0-9_]+$"}
ENUM = {"type": "object", "additionalProperties": {"type": "object", "required": ["caption"], "properties": {"caption": TEXT}}}
ATTRIBUTE = {
    "type": "object",
    "properties": {
        "caption": TEXT,
        "description": TEXT,
        "enum": ENUM,
        "group": {"enum": ["context", "classification", "occurrence", "primary"]},
        "requirement": {"enum": ["optional", "recommended", "required"]},
        "sibling": TEXT,
    },
}
ENTITY = {
    "type": "object",
    "required": ["caption", "description", "name", "attributes"],
    "properties": {
        "name": NAME,
        "caption": TEXT,
        "description": TEXT,
        "extends": TEXT,
        "constraints": {"type": "object", "properties": {"at_least_one": {"items": TEXT}, "just_one": {"items": TEXT}}},
        "attributes": {"type": "object", "propertyNames": NAME, "additionalProperties": ATTRIBUTE},
    },
}
METASCHEMA = {
    "object": ENTITY,
    "event": {**ENTITY, "properties": {**ENTITY["properties"], "uid": {"type": "integer", "minimum": 0, "maximum": 999}}},
    "dictionary": {
        "type": "object",
        "required": ["caption", "name", "attributes"],
        "properties": {
            "attributes": {
                "propertyNames": NAME,
                "additionalProperties": {"allOf": [ATTRIBUTE, {"required": ["caption", "description", "type"]}]},
            }
        },
    },
    "extension": {
        "type": "object",
        "required": ["caption", "description", "name", "uid"],
        "properties": {"name": NAME, "uid": {"type": "integer"}, "version": {"pattern": r"^\d+\.\d+\.\d+(-[a-z0-9.]+)?$"}},
        "additionalProperties": TEXT,
    },
    "profile": {"type": "object", "required": ["caption", "description", "name"]},
    "categories": {"type": "object", "required": ["caption", "attributes"]},
}


def foreign(attribute):
    """Whether it comes from an extension."""
    scoped = [attribute.get("object_type") or "", *(attribute.get("profiles") or [])]
    return "extension" in attribute or any("/" in name for name in scoped)


def entity(schema, e):
    out = {k: e[k] for k in ("name", "caption", "description", "constraints", "observable", "uid", "category") if k in e}
    if out.get("observable") == schema["objects"].get(e.get("extends"), {}).get("observable"):
        out.pop("observable", None)  # inherited
    out["attributes"] = {}
    for name, a in e["attributes"].items():
        if foreign(a) or name.endswith("_dt"):
            continue
        used = {k: a[k] for k in KEPT if a.get(k) is not None}
        if a["type"] not in ("object_t", schema["dictionary"]["attributes"][name]["type"]):
            used["type"] = a["type"]
        if a.get("profiles"):
            used["profile"] = a["profiles"][0]
        out["attributes"][name] = used
    if e["name"] == "observable":
        # The tools add the types that the schema defines.
        ids = out["attributes"]["type_id"]
        ids["enum"] = {k: ids["enum"][k] for k in ("0", "99")}
    return out


def dictionary(schema):
    out = {**schema["dictionary"], "attributes": {}}
    for name, a in schema["dictionary"]["attributes"].items():
        if "/" in name or foreign(a) or name.endswith("_dt"):
            continue
        kept = {k: a[k] for k in (*KEPT, "sibling", "observable", "is_array") if a.get(k) is not None}
        out["attributes"][name] = {**kept, "type": a.get("object_type") or a["type"]}
    types = schema["dictionary"]["types"]
    own = {n: t for n, t in types["attributes"].items() if "extension" not in t}
    out["types"] = {**types, "attributes": own}
    return out


def write(root, schema, extension):
    """Writes the repository with the extension in it."""
    files = {
        "version.json": {"version": schema["version"]},
        "categories.json": schema["categories"],
        "dictionary.json": dictionary(schema),
        "events/base_event.json": entity(schema, schema["classes"]["base_event"]),
    }
    for name, o in schema["objects"].items():
        if "/" not in name:
            files[f"objects/{name}.json"] = entity(schema, o)
    for name, p in schema["profiles"].items():
        if "/" not in name:
            files[f"profiles/{name}.json"] = {**p, "attributes": {}}
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    for kind, metaschema in METASCHEMA.items():
        files[f"metaschema/{kind}.schema.json"] = {**dialect, **metaschema}
    for path, value in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(json.dumps(value), encoding="utf-8")
    shutil.copytree(extension, root / "extensions" / extension.name)
