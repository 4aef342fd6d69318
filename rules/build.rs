//! The pack in `sigma/` stands in the library: it is built anew when a rule comes or goes.

fn main() {
    println!("cargo::rerun-if-changed=sigma");
}
