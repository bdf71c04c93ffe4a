//! Client libraries in languages that not every machine has: their scripts are made ready where they can be, and what is
//! missing is named. What is there has to build.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{FETCH_PAUSE, Run, exists, with_retries};
use crate::{setup, workspace};

/// A script over a client library, and what it takes to run it.
struct Language {
    /// Folder that its test finds it in.
    name: &'static str,
    /// Folder of the script.
    source: &'static str,
    library: &'static str,
    /// Those that run it.
    tests: &'static [&'static str],
    /// Programs that have to be there, and the Debian packages that bring them.
    programs: &'static [&'static str],
    packages: &'static str,
    /// Fetches what the script in the first folder is built from, or runs with, some of it into the second.
    fetch: fn(&Path, &Path) -> Result<()>,
    /// Brings the script from the first folder into the second and gives the command that runs it there.
    build: fn(&Path, &Path) -> Result<String>,
}

const LANGUAGES: [Language; 7] = [
    Language {
        name: "go",
        source: "interop/scripts/go",
        library: "clientv3 and its concurrency package",
        tests: &["go_works_on_both"],
        programs: &["go"],
        packages: "golang-go",
        fetch: fetch_go,
        build: go,
    },
    Language {
        name: "node",
        source: "interop/scripts/node",
        library: "etcd3 of Node",
        tests: &["node_works_on_both"],
        programs: &["node", "npm"],
        packages: "nodejs npm",
        fetch: fetch_node,
        build: node,
    },
    Language {
        name: "java",
        source: "interop/scripts/java",
        library: "jetcd",
        tests: &["java_works_on_both"],
        programs: &["java", "mvn"],
        packages: "default-jdk-headless maven",
        fetch: fetch_java,
        build: java,
    },
    Language {
        name: "kubernetes-go",
        source: "apiserver/tests/clients/go",
        library: "client-go, controller-runtime and its envtest",
        tests: &[
            "client_go_and_controller_runtime_work",
            "envtest_starts_this_server",
        ],
        programs: &["go"],
        packages: "golang-go",
        fetch: fetch_go,
        build: go,
    },
    Language {
        name: "kubernetes-python",
        source: "apiserver/tests/clients/python",
        library: "Python's kubernetes",
        tests: &["the_python_client_works"],
        programs: &["python3"],
        packages: "python3-venv",
        fetch: fetch_python,
        build: python,
    },
    Language {
        name: "grpc-python",
        source: "docs/examples/grpc-python",
        library: "grpcio",
        tests: &[
            "the_example_of_grpc_in_python_works",
            "the_example_of_a_controller_in_python_works",
        ],
        programs: &["python3"],
        packages: "python3-venv",
        fetch: fetch_python,
        build: grpc_python,
    },
    Language {
        name: "kubernetes-rust",
        source: "apiserver/tests/clients/kube",
        library: "kube",
        tests: &["kube_works"],
        programs: &["cargo"],
        packages: "cargo",
        fetch: fetch_rust,
        build: rust,
    },
];

/// How often packages are tried to be fetched.
const FETCH_TRIES: u32 = 2;

/// Older ones cannot fetch the Go that the client library wants.
const GO_MINOR_MIN: u32 = 21;

/// What kubectl is built from.
const KUBECTL: &str = "interop/scripts/kubectl";

/// Makes ready what can be, and returns the names of the tests that can run. What was fetched and does not build is an error.
pub(crate) fn tests() -> Result<Vec<String>> {
    let clients = clients()?;
    let mut tests = Vec::new();
    for language in &LANGUAGES {
        let source = workspace::root().join(language.source);
        let folder = clients.join(language.name);
        fs::create_dir_all(&folder)?;
        if let Err(why) = fetched(language, &source, &folder) {
            println!("[xtask] not tried: {}: {why:#}", language.library);
            continue;
        }
        let command = (language.build)(&source, &folder)
            .with_context(|| format!("the script over {} does not build", language.library))?;
        let run = folder.join("run");
        fs::write(&run, format!("#!/bin/sh\nexec {command} \"$@\"\n"))?;
        fs::set_permissions(&run, fs::Permissions::from_mode(0o755))?;
        tests.extend(language.tests.iter().map(|test| format!("clients::{test}")));
    }
    Ok(tests)
}

/// Where scripts and kubectl are made ready.
fn clients() -> Result<PathBuf> {
    let folder = workspace::target_dir()?.join("interop-clients");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Fetches what the stories of the apiserver are told with, and returns the folder of the manifests that they apply.
pub(crate) fn fetch_stories() -> Result<PathBuf> {
    if !exists("go") {
        bail!("there is no go, which builds it; install it with: apt-get install golang-go");
    }
    let folder = clients()?;
    fetch_go(&workspace::root().join(KUBECTL), &folder)?;
    manifests(&folder.join("manifests"))
}

/// The kubectl that the stories of the apiserver are told with. It is built from upstream's module, for its words change with
/// every release.
pub(crate) fn kubectl() -> Result<PathBuf> {
    const STAMP: &str = "-s -w -X k8s.io/client-go/pkg/version.gitVersion=v1.36.3 -X k8s.io/component-base/version.gitVersion=v1.36.3";
    let program = clients()?.join("kubectl");
    let source = workspace::root().join(KUBECTL);
    build_go(&source, &program, &["-ldflags", STAMP])?;
    Ok(program)
}

/// Manifests that others publish: the name they have in the stories, the Go module that carries them, and their place in it.
const MANIFESTS: [(&str, &str, &str); 4] = [
    (
        "argo-cd",
        "github.com/argoproj/argo-cd/v3@v3.3.0",
        "manifests",
    ),
    (
        "cert-manager",
        "github.com/cert-manager/cert-manager@v1.21.2",
        "deploy/crds",
    ),
    (
        "gateway-api",
        "sigs.k8s.io/gateway-api@v1.6.3",
        "config/crd/standard",
    ),
    (
        "prometheus-operator",
        "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        "",
    ),
];

/// A folder with the manifests that the stories of the apiserver apply. Modules are data here, and none of them is built.
fn manifests(folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    for (name, module, place) in MANIFESTS {
        fetch("go", &["mod", "download", module])?;
        let answer = Run::new("go")
            .args(["mod", "download", "-json", module])
            .output()?;
        let answer: serde_json::Value =
            serde_json::from_str(&answer).with_context(|| format!("fetching {module}"))?;
        let Some(source) = answer["Dir"].as_str() else {
            bail!("fetching {module}: {}", answer["Error"]);
        };
        let link = folder.join(name);
        if link.is_symlink() {
            fs::remove_file(&link)?;
        }
        std::os::unix::fs::symlink(Path::new(source).join(place), link)?;
    }
    Ok(folder.to_owned())
}

fn fetched(language: &Language, source: &Path, folder: &Path) -> Result<()> {
    for program in language.programs {
        if !exists(program) {
            bail!(
                "there is no {program}; install it with: apt-get install {}",
                language.packages
            );
        }
    }
    (language.fetch)(source, folder).context("what it needs cannot be fetched")
}

/// Runs what waits for a network.
fn fetch(program: &str, arguments: &[&str]) -> Result<()> {
    with_retries(FETCH_TRIES, FETCH_PAUSE, || {
        Run::fetching(program).args(arguments).run()
    })
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn check_go() -> Result<()> {
    let version = Command::new("go").args(["env", "GOVERSION"]).output()?;
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    let minor = version
        .strip_prefix("go1.")
        .and_then(|rest| rest.split('.').next());
    let minor: Option<u32> = minor.and_then(|minor| minor.parse().ok());
    if minor.is_none_or(|minor| minor < GO_MINOR_MIN) {
        bail!("{version} is too old; 1.{GO_MINOR_MIN} or newer is wanted");
    }
    Ok(())
}

/// Lists every package that is built, for which its module has to be there, and prints nothing of it.
fn fetch_go(source: &Path, _: &Path) -> Result<()> {
    check_go()?;
    let source = text(source);
    let list = [
        "CGO_ENABLED=0",
        "go",
        "list",
        "-C",
        &source,
        "-deps",
        "-f",
        "{{\"\"}}",
        ".",
    ];
    fetch("env", &list)
}

fn build_go(source: &Path, program: &Path, flags: &[&str]) -> Result<()> {
    // Without C, so that what one build compiled serves the others too.
    Run::new("go")
        .env("CGO_ENABLED", "0")
        .args(["build", "-C", &text(source), "-o", &text(program)])
        .args(flags)
        .args(["."])
        .run()
}

fn go(source: &Path, folder: &Path) -> Result<String> {
    let script = folder.join("script");
    build_go(source, &script, &[])?;
    Ok(text(&script))
}

fn fetch_node(source: &Path, folder: &Path) -> Result<()> {
    fs::copy(source.join("package.json"), folder.join("package.json"))?;
    let place = text(folder);
    let install = [
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--prefix",
        &place,
    ];
    fetch("npm", &install)
}

fn node(source: &Path, folder: &Path) -> Result<String> {
    let script = folder.join("script.js");
    fs::copy(source.join("script.js"), &script)?;
    Ok(format!("node {}", text(&script)))
}

/// The file that lists what the script over jetcd runs with.
fn class_path(folder: &Path) -> PathBuf {
    folder.join("classpath")
}

fn fetch_java(source: &Path, folder: &Path) -> Result<()> {
    let pom = text(&source.join("pom.xml"));
    let to_list = format!("-Dmdep.outputFile={}", text(&class_path(folder)));
    let goal = "dependency:build-classpath";
    fetch("mvn", &["-q", "-B", "-f", &pom, goal, &to_list])
}

fn java(source: &Path, folder: &Path) -> Result<String> {
    let classes = fs::read_to_string(class_path(folder))?;
    let script = text(&source.join("Script.java"));
    Ok(format!("java -cp '{}' {script}", classes.trim()))
}

fn fetch_python(_: &Path, _: &Path) -> Result<()> {
    setup::python_with(&setup::KUBERNETES_CLIENT).map(drop)
}

fn python(source: &Path, _: &Path) -> Result<String> {
    let interpreter = setup::python_with(&setup::KUBERNETES_CLIENT)?;
    let script = source.join("script.py");
    Ok(format!(
        "env PYTHONDONTWRITEBYTECODE=1 {} {}",
        interpreter.display(),
        script.display()
    ))
}

/// The example takes its messages from where the description is; they are made beside a copy of it.
fn grpc_python(source: &Path, folder: &Path) -> Result<String> {
    let interpreter = setup::python_with(&setup::KUBERNETES_CLIENT)?;
    let (interpreter, folder_text) = (text(&interpreter), text(folder));
    let descriptions = text(&workspace::root().join("proto"));
    Run::new(&interpreter)
        .args(["-m", "grpc_tools.protoc", "-I", &descriptions])
        .args(["--python_out", &folder_text])
        .args(["--grpc_python_out", &folder_text])
        .args(["mainstay/api.proto"])
        .run()?;
    for script in ["pods.py", "greetings.py"] {
        fs::copy(source.join(script), folder.join(script))?;
    }
    // A test names the script.
    Ok(format!("env PYTHONPATH={folder_text} {interpreter} -m"))
}

/// Fetches what a manifest's lock file names for this machine. cargo gives up by itself what it waits for.
pub(crate) fn fetch_crates(manifest: &Path) -> Result<()> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let host = Run::new(&rustc).args(["--print", "host-tuple"]).output()?;
    with_retries(FETCH_TRIES, FETCH_PAUSE, || {
        Run::cargo()
            .args(["fetch", "--quiet", "--locked", "--target", host.trim()])
            .args(["--manifest-path", &text(manifest)])
            .run()
    })
}

fn fetch_rust(source: &Path, _: &Path) -> Result<()> {
    fetch_crates(&source.join("Cargo.toml"))
}

fn rust(source: &Path, folder: &Path) -> Result<String> {
    let manifest = text(&source.join("Cargo.toml"));
    let target = folder.join("target");
    Run::cargo()
        .args(["build", "--quiet", "--release", "--locked"])
        .args(["--manifest-path", &manifest])
        .args(["--target-dir", &text(&target)])
        .run()?;
    Ok(text(&target.join("release/kube-script")))
}
