//! Names the shared library as programs look for the CUDA driver, so that once it is loaded they
//! find it in place of one. The file keeps its own name and shadows nothing on a search path.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libcuda.so");
    }
}
