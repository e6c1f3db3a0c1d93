//! A machine with another kernel: the distribution's cloud kernel in qemu, without KVM, up in a few seconds. What the machine
//! of the tests doesn't have (one version of cgroups alone, above all) is tested there.
//!
//! Its whole disk is an initramfs made here: static busybox, the kernel modules that pods need, and the files of the test.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use tempfile::TempDir;

use crate::{Run, executable};

/// What a pod needs of the kernel as modules, where they aren't built in.
const MODULES: [&str; 5] = ["overlay", "veth", "nf_tables", "nft_chain_nat", "nft_masq"];

/// The line that the machine prints last, before the script's exit code.
const END: &str = "the script ended with ";

/// How the machine has its cgroups, below /sys/fs/cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cgroups {
    /// A v1 hierarchy for each controller or two, and no v2.
    V1,
    /// One v2 hierarchy with all controllers.
    V2,
}

impl Cgroups {
    fn mount(self) -> &'static str {
        match self {
            Self::V1 => {
                "mount -t tmpfs cgroup /sys/fs/cgroup
for controllers in cpuset cpu,cpuacct memory devices freezer pids blkio; do
  mkdir /sys/fs/cgroup/$controllers; mount -t cgroup -o $controllers cgroup /sys/fs/cgroup/$controllers
done"
            }
            Self::V2 => "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
        }
    }
}

/// A file for the machine; programs (what goes to `bin/`) bring the libraries that they are linked with, and leave behind
/// what only a debugger reads.
#[derive(Debug)]
pub struct File<'a> {
    /// Where it is here.
    pub from: &'a Path,
    /// Where it will be there: `bin/minikctl`.
    pub to: &'a str,
}

/// Boots a machine, runs `script` there with busybox' shell, and gives what it printed. One machine at a time: each computes
/// all that a processor would do.
///
/// # Panics
/// When the machine can't be made, doesn't end within two minutes, or the script fails.
#[must_use]
pub fn run(cgroups: Cgroups, files: &[File<'_>], script: &str) -> String {
    static ONE: Mutex<()> = Mutex::new(());
    // What is guarded is the processor: a test that has failed leaves nothing half-done.
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    executable::set_up();
    let kernel = Kernel::get();
    let folder = TempDir::with_prefix("vm-").expect("a temporary folder");
    let initrd = initrd(kernel, folder.path(), cgroups, files, script);
    let output = Run::bounded(120, "qemu-system-x86_64")
        .args("-nodefaults -no-reboot -display none -machine q35,accel=tcg -cpu max -smp 2 -m 2048".split(' '))
        .args(["-append", "console=ttyS0 panic=-1 loglevel=1", "-serial", "stdio"])
        .args([
            "-kernel".as_ref(),
            kernel.image.as_os_str(),
            "-initrd".as_ref(),
            initrd.as_os_str(),
        ])
        .output();
    let printed = output.stdout.replace('\r', "");
    let end = printed
        .rsplit_once(END)
        .map(|(_, code)| code.trim().starts_with("0\n") || code.trim() == "0");
    assert_eq!(
        end,
        Some(true),
        "the script in the machine failed:\n{printed}\n{}",
        output.stderr
    );
    printed
}

/// The distribution's cloud kernel, fetched once into the build folder.
#[derive(Debug)]
struct Kernel {
    image: PathBuf,
    /// The folder whose `lib/modules` has the modules.
    root: PathBuf,
    version: String,
}

impl Kernel {
    fn get() -> &'static Self {
        static KERNEL: OnceLock<Kernel> = OnceLock::new();
        KERNEL.get_or_init(|| {
            let root = executable::repository().join("target/test-kernel");
            if !root.join("complete").exists() {
                Self::fetch(&root);
            }
            let images = root
                .join("boot")
                .read_dir()
                .expect("the kernel's package has /boot")
                .flatten();
            let image = images
                .map(|entry| entry.path())
                .find(|path| path.display().to_string().contains("vmlinuz-"));
            let image = image.expect("the kernel's package has an image");
            let version = image.display().to_string();
            let version = version
                .rsplit_once("vmlinuz-")
                .expect("found by that name")
                .1
                .to_owned();
            Self { image, root, version }
        })
    }

    fn fetch(root: &Path) {
        // A half-made folder of an interrupted run is made anew.
        let _ = fs::remove_dir_all(root);
        fs::create_dir_all(root).expect("the kernel's folder is made");
        let script = r#"
            package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -n 1)
            [ -n "$package" ] || { echo "no linux-image-cloud-amd64 in the package lists: run apt-get update" >&2; exit 1; }
            apt-get download "$package" && dpkg-deb -x "$package"_*.deb . && rm "$package"_*.deb &&
            depmod -b . "$(ls lib/modules)" && touch complete"#;
        let _ = Run::new("sh")
            .args(["-c", &format!("cd '{}' && {script}", root.display())])
            .ok();
    }

    /// The files of `module` and of what it depends on, in the order of loading; none when it is built in.
    fn module(&self, module: &str) -> Vec<PathBuf> {
        let list = Run::new("modprobe").args(["--show-depends", "--set-version", &self.version, "--dirname"]);
        let list = list.args([self.root.as_os_str(), module.as_ref()]).ok();
        list.lines()
            .filter_map(|line| Some(PathBuf::from(line.strip_prefix("insmod ")?.trim())))
            .collect()
    }
}

fn initrd(kernel: &Kernel, folder: &Path, cgroups: Cgroups, files: &[File<'_>], script: &str) -> PathBuf {
    let root = folder.join("root");
    for name in [
        "bin", "proc", "sys", "dev", "tmp", "etc", "run", "var", "modules", "new",
    ] {
        fs::create_dir_all(root.join(name)).expect("folders are made");
    }
    let busybox = Run::new("sh").args(["-c", "command -v busybox"]).ok();
    put(&root, Path::new(busybox.trim()), "bin/busybox");
    let mut modules: Vec<PathBuf> = Vec::new();
    for module in MODULES.iter().flat_map(|module| kernel.module(module)) {
        if !modules.contains(&module) {
            modules.push(module);
        }
    }
    let mut load = String::new();
    for (index, module) in modules.iter().enumerate() {
        put(&root, module, &format!("modules/{index}.ko"));
        let _ = writeln!(load, "insmod /modules/{index}.ko");
    }
    for file in files {
        put(&root, file.from, file.to);
        if !file.to.starts_with("bin/") {
            continue;
        }
        let _ = Run::new("strip").args([root.join(file.to)]).ok();
        for library in libraries(file.from) {
            put(
                &root,
                &library,
                library
                    .strip_prefix("/")
                    .expect("ldd gives whole paths")
                    .to_str()
                    .expect("UTF-8"),
            );
        }
    }
    write_program(&root.join("init"), &init(cgroups, &load));
    write_program(&root.join("script"), &format!("#!/bin/sh\nset -e\n{script}\n"));
    let archive = folder.join("initrd");
    let pack = format!(
        "cd '{}' && find . | busybox cpio -o -H newc > '{}'",
        root.display(),
        archive.display()
    );
    let _ = Run::new("sh").args(["-c", &pack]).ok();
    archive
}

/// The first process: `pivot_root` refuses the initramfs itself, so all moves to a tmpfs first. The script's output goes
/// through a pipe, since programs draw on a console.
fn init(cgroups: Cgroups, load: &str) -> String {
    let mount_cgroups = cgroups.mount();
    format!(
        r#"#!/bin/busybox sh
if [ ! -e /moved ]; then
  /bin/busybox mount -t tmpfs -o size=80% tmpfs /new
  for name in bin data etc init lib lib64 modules run script tmp usr var; do
    [ -e /$name ] && /bin/busybox cp -a /$name /new/
  done
  /bin/busybox mkdir -p /new/proc /new/sys /new/dev; /bin/busybox touch /new/moved
  exec /bin/busybox switch_root /new /init
fi
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root
mkdir -p /root
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm; mount -t devpts devpts /dev/pts
{mount_cgroups}
ip link set lo up
{load}
{{ sh /script 2>&1; echo "$?" >/ended; }} | cat
echo "{END}$(cat /ended)"
poweroff -f
"#
    )
}

fn libraries(program: &Path) -> Vec<PathBuf> {
    let list = Run::new("ldd").args([program]).output().stdout;
    list.split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

fn put(root: &Path, from: &Path, to: &str) {
    let to = root.join(to);
    fs::create_dir_all(to.parent().expect("files lie in folders")).expect("folders are made");
    fs::copy(from, &to).unwrap_or_else(|error| panic!("copying {} to the machine: {error}", from.display()));
}

fn write_program(path: &Path, text: &str) {
    let mut file = fs::File::create(path).expect("the file is made");
    file.write_all(text.as_bytes()).expect("the file is written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("modes are set");
}
