//! Client libraries in languages that not every machine has: their scripts are made ready where they can be, and what is
//! missing is named.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{Run, exists};
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
    /// Brings the script into a folder and gives the command that runs it there.
    prepare: fn(&Path, &Path) -> Result<String>,
}

const LANGUAGES: [Language; 7] = [
    Language {
        name: "go",
        source: "interop/scripts/go",
        library: "clientv3 and its concurrency package",
        tests: &["go_works_on_both"],
        programs: &["go"],
        packages: "golang-go",
        prepare: go,
    },
    Language {
        name: "node",
        source: "interop/scripts/node",
        library: "etcd3 of Node",
        tests: &["node_works_on_both"],
        programs: &["node", "npm"],
        packages: "nodejs npm",
        prepare: node,
    },
    Language {
        name: "java",
        source: "interop/scripts/java",
        library: "jetcd",
        tests: &["java_works_on_both"],
        programs: &["java", "mvn"],
        packages: "default-jdk-headless maven",
        prepare: java,
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
        prepare: go,
    },
    Language {
        name: "kubernetes-python",
        source: "apiserver/tests/clients/python",
        library: "Python's kubernetes",
        tests: &["the_python_client_works"],
        programs: &["python3"],
        packages: "python3-venv",
        prepare: python,
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
        prepare: grpc_python,
    },
    Language {
        name: "kubernetes-rust",
        source: "apiserver/tests/clients/kube",
        library: "kube",
        tests: &["kube_works"],
        programs: &["cargo"],
        packages: "cargo",
        prepare: rust,
    },
];

/// Seconds after which fetching packages is given up.
const FETCH_SECONDS_MAX: &str = "600";

/// Older ones cannot fetch the Go that the client library wants.
const GO_MINOR_MIN: u32 = 21;

/// Makes ready what can be, and returns the names of the tests that can run.
pub(crate) fn tests() -> Result<Vec<String>> {
    let mut tests = Vec::new();
    for language in &LANGUAGES {
        match prepare(language) {
            Ok(()) => tests.extend(language.tests.iter().map(|test| format!("clients::{test}"))),
            Err(why) => println!("[xtask] not tried: {}: {why:#}", language.library),
        }
    }
    Ok(tests)
}

/// The kubectl that the stories of the apiserver are told with. It is built from upstream's module, for its words change with
/// every release.
pub(crate) fn kubectl() -> Result<PathBuf> {
    const STAMP: &str = "-s -w -X k8s.io/client-go/pkg/version.gitVersion=v1.36.3 -X k8s.io/component-base/version.gitVersion=v1.36.3";
    if !exists("go") {
        bail!("there is no go, which builds it; install it with: apt-get install golang-go");
    }
    check_go()?;
    let folder = workspace::target_dir()?.join("interop-clients");
    fs::create_dir_all(&folder)?;
    let program = folder.join("kubectl");
    let source = workspace::root().join("interop/scripts/kubectl");
    let place = |path: &Path| path.display().to_string();
    fetch("go")
        .env("CGO_ENABLED", "0")
        .args([
            "build",
            "-C",
            &place(&source),
            "-ldflags",
            STAMP,
            "-o",
            &place(&program),
            ".",
        ])
        .run()?;
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
pub(crate) fn manifests() -> Result<PathBuf> {
    let folder = workspace::target_dir()?.join("interop-clients/manifests");
    fs::create_dir_all(&folder)?;
    for (name, module, place) in MANIFESTS {
        let output = Command::new("timeout")
            .args([FETCH_SECONDS_MAX, "go", "mod", "download", "-json", module])
            .output()?;
        let answer: serde_json::Value =
            serde_json::from_slice(&output.stdout).with_context(|| format!("fetching {module}"))?;
        let Some(source) = answer["Dir"].as_str() else {
            bail!("fetching {module}: {}", answer["Error"]);
        };
        let link = folder.join(name);
        if link.is_symlink() {
            fs::remove_file(&link)?;
        }
        std::os::unix::fs::symlink(Path::new(source).join(place), link)?;
    }
    Ok(folder)
}

fn prepare(language: &Language) -> Result<()> {
    for program in language.programs {
        if !exists(program) {
            bail!(
                "there is no {program}; install it with: apt-get install {}",
                language.packages
            );
        }
    }
    let source = workspace::root().join(language.source);
    let folder = workspace::target_dir()?
        .join("interop-clients")
        .join(language.name);
    fs::create_dir_all(&folder)?;
    let command = (language.prepare)(&source, &folder).context("it cannot be made ready")?;
    let run = folder.join("run");
    fs::write(&run, format!("#!/bin/sh\nexec {command} \"$@\"\n"))?;
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// A program that may wait for a network.
fn fetch(program: &str) -> Run {
    Run::new("timeout").args([FETCH_SECONDS_MAX, program])
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

fn go(source: &Path, folder: &Path) -> Result<String> {
    check_go()?;
    let script = folder.join("script");
    let place = |path: &Path| path.display().to_string();
    // Without C, so that what kubectl's build compiled serves here too.
    fetch("go")
        .env("CGO_ENABLED", "0")
        .args(["build", "-C", &place(source), "-o", &place(&script), "."])
        .run()?;
    Ok(place(&script))
}

fn node(source: &Path, folder: &Path) -> Result<String> {
    for file in ["package.json", "script.js"] {
        fs::copy(source.join(file), folder.join(file))?;
    }
    let place = folder.display().to_string();
    fetch("npm")
        .args([
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--prefix",
            &place,
        ])
        .run()?;
    Ok(format!("node {place}/script.js"))
}

fn java(source: &Path, folder: &Path) -> Result<String> {
    let list: PathBuf = folder.join("classpath");
    let pom = source.join("pom.xml").display().to_string();
    let to_list = format!("-Dmdep.outputFile={}", list.display());
    fetch("mvn")
        .args([
            "-q",
            "-B",
            "-f",
            &pom,
            "dependency:build-classpath",
            &to_list,
        ])
        .run()?;
    let classes = fs::read_to_string(&list)?;
    let script = source.join("Script.java");
    Ok(format!(
        "java -cp '{}' {}",
        classes.trim(),
        script.display()
    ))
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
    let place = |path: &Path| path.display().to_string();
    let (interpreter, folder_text) = (place(&interpreter), place(folder));
    let descriptions = place(&workspace::root().join("proto"));
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

fn rust(source: &Path, folder: &Path) -> Result<String> {
    let manifest = source.join("Cargo.toml").display().to_string();
    let target = folder.join("target");
    let place = target.display().to_string();
    Run::cargo()
        .args(["build", "--quiet", "--release", "--locked"])
        .args(["--manifest-path", &manifest, "--target-dir", &place])
        .run()?;
    Ok(target.join("release/kube-script").display().to_string())
}
