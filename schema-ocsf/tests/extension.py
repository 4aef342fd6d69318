"""Whether OCSF's own tools take the extension `trust`, and whether data/ocsf.json says what its folder says.

    target/readers/bin/pip install -r schema-ocsf/tests/requirements.txt
    target/readers/bin/python schema-ocsf/tests/extension.py

Exit code 1 when `generate.py` gives another data/ocsf.json, when `ocsf-validator` finds a fault in OCSF 1.8.0 with the
extension, when the two together do not compile to the classes and objects that the data has, or when a record of
tests/cases/trust.json, or one of docs/trust.md, is refused by a validator that is not ours.
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import jsonschema
import repository
from ocsf.compile.compiler import Compilation
from ocsf.repository import read_repo
from ocsf.schema import to_json
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

CRATE = pathlib.Path(__file__).resolve().parents[1]
FOLDER = CRATE / "extensions/trust"
sys.path.insert(0, str(CRATE))
import generate  # noqa: E402


def check(what, problems):
    for problem in problems[:20]:
        print(f"  {problem}")
    print(f"{what}: {f'{len(problems)} problems' if problems else 'as it should be'}")
    return bool(problems)


def generated(compiled):
    made = subprocess.run(
        [sys.executable, CRATE / "generate.py", compiled, FOLDER], stdout=subprocess.PIPE, check=True
    ).stdout
    return [] if made == (CRATE / "data/ocsf.json").read_bytes() else ["generate.py makes another file"]


def validated(root):
    out = subprocess.run([sys.executable, "-m", "ocsf_validator", root], stdout=subprocess.PIPE, text=True)
    lines = [re.sub(r"\x1b\[\d+m", "", line).strip() for line in out.stdout.splitlines()]
    # Most of OCSF's classes are not there, so their attributes are unused.
    told = [l for l in lines if l.startswith(("ERROR", "FATAL", "WARNING")) and "Unused attribute" not in l]
    return told + ([f"exit code {out.returncode}"] if out.returncode else [])


def facts(schema, name, a):
    """What two compilers have to agree on."""
    a = {k: v for k, v in a.items() if v is not None and k not in ("profiles", "observable")}
    fact = generate.attribute(name, a)
    # The one puts an object's name where the other says `object_t`.
    object_name = fact.pop("o", None)
    if object_name is None and fact["t"] in schema["objects"]:
        object_name = fact["t"]
    if object_name:
        fact["t"] = object_name
    return fact


def compiled_alike(root, merged):
    theirs = json.loads(to_json(Compilation(read_repo(root)).build()))
    problems = []
    for kind in ("classes", "objects"):
        ours = {n: e for n, e in merged[kind].items() if n.startswith("trust/")}
        names = {n for n in theirs[kind] if n.startswith("trust/")}
        if names != set(ours):
            problems.append(f"{kind}: {sorted(names ^ set(ours))}")
        for name in names & set(ours):
            a, b = ours[name], theirs[kind][name]
            if a.get("uid") != b.get("uid"):
                problems.append(f"{name}: uid {a['uid']} and {b['uid']}")
            pairs = {n: [facts(s, n, e["attributes"][n]) if n in e["attributes"] else None
                         for s, e in ((merged, a), (theirs, b))]
                     for n in {*a["attributes"], *b["attributes"]}}
            problems += [f"{name}.{n}: {p[0]} and {p[1]}" for n, p in sorted(pairs.items()) if p[0] != p[1]]
    return problems


def conventions():
    """What OCSF's metaschema asks of names, enums and groups beyond the form of the files."""
    files = {f: generate.read(f) for f in sorted(FOLDER.glob("**/*.json"))}
    for file, content in files.items():
        for name, a in content.get("attributes", {}).items():
            at = f"{file.relative_to(FOLDER)}: {name}"
            if file.name == "dictionary.json" and name.endswith("_id"):
                if a.get("sibling") != name.removesuffix("_id") or not {"0", "99"} <= a["enum"].keys():
                    yield f"{at}: an id has a sibling, 0 and 99"
            if a.get("group") == "primary" and a.get("requirement") == "optional":
                yield f"{at}: a primary attribute is recommended or required"
            if file.parts[-2] not in ("trust", "objects") and name != "activity_id" and "group" not in a:
                yield f"{at}: a class's attribute has a group"


def records():
    """Records that have to be valid, each with where it stands."""
    cases = generate.read(CRATE / "tests/cases/trust.json")
    yield from ((c["case"], c["record"]) for c in cases)
    page = (CRATE.parent / "docs/trust.md").read_text(encoding="utf-8")
    for i, block in enumerate(re.findall(r"```json\n(.*?)```", page, re.DOTALL)):
        yield f"docs/trust.md, example {i + 1}", json.loads(block)


def refused(merged):
    schema = OcsfJsonSchemaEmbedded(merged)
    for where, record in records():
        name = schema.lookup_class_name_from_uid(record["class_uid"])
        by = schema.get_class_schema(f"trust/{name}", profiles=sorted(record["metadata"].get("profiles", [])))
        for error in jsonschema.validators.validator_for(by)(by).iter_errors(record):
            yield f"{where}: {'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"


def main():
    core = get_ocsf_schema("1.8.0")
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder) / "ocsf"
        repository.write(root, core, FOLDER)
        if check("ocsf-validator", validated(root)):
            sys.exit(1)  # what follows needs a sound folder
        compiled = pathlib.Path(folder) / "compiled.json"
        compiled.write_text(json.dumps(core), encoding="utf-8")
        failed = check("data/ocsf.json", generated(compiled))
        merged = generate.read(compiled)
        generate.Extension(merged, FOLDER).merge()
        failed |= check("ocsf-lib's compiler", compiled_alike(root, merged))
    failed |= check("OCSF's conventions", list(conventions()))
    failed |= check("records by ocsf-json-schema", list(refused(merged)))
    sys.exit(failed)


if __name__ == "__main__":
    main()
