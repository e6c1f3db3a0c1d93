//! What stand-ins are made of: packages, files, and what the image says of itself. Data alone.

use serde_json::{Value, json};

/// How to make one stand-in.
#[derive(Debug)]
pub struct Recipe {
    /// The image, as manifests name it.
    pub image: &'static str,
    /// Its full name.
    pub(super) reference: &'static str,
    pub(super) packages: &'static str,
    /// Paths and their contents.
    pub(super) files: &'static [(&'static str, &'static str)],
    /// Symbolic links and their targets.
    pub(super) links: &'static [(&'static str, &'static str)],
    /// The image's config, as JSON.
    pub(super) config: fn() -> Value,
}

pub(super) const NGINX_CONF: &str = "\
user www-data;
worker_processes 1;
error_log /dev/stderr notice;
pid /run/nginx.pid;
events { worker_connections 512; }
http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log /dev/stdout;
    sendfile on;
    include /etc/nginx/conf.d/*.conf;
}
";
const NGINX_SITE: &str = "\
server {
    listen 80;
    server_name localhost;
    location / {
        root /usr/share/nginx/html;
        index index.html;
    }
}
";
const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
";
const GROUP: &str = "root:x:0:\ndaemon:x:1:\ntty:x:5:\nwww-data:x:33:\nnogroup:x:65534:\n";

/// Folders that packages' scripts or a boot would have made.
pub(super) const FOLDERS: [(&str, u32); 10] = [
    ("dev", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr/local/bin", 0o755),
    ("var/lib/nginx", 0o755),
    ("var/log/nginx", 0o755),
    ("var/tmp", 0o1777),
];

/// What a container has no use for.
pub(super) const LEFT_OUT: [&str; 14] = [
    "etc/apt",
    "usr/share/bug",
    "usr/share/doc",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/perl",
    "usr/share/perl5",
    "var/cache",
    "var/lib/apt",
    "var/lib/dpkg",
    "usr/lib/apt",
    "usr/include",
];

pub(super) static RECIPES: [Recipe; 2] = [
    Recipe {
        image: "nginx:stable",
        reference: "docker.io/library/nginx:stable",
        packages: "nginx-light,base-files,coreutils,dash",
        files: &[
            ("etc/nginx/nginx.conf", NGINX_CONF),
            ("etc/nginx/conf.d/default.conf", NGINX_SITE),
            ("etc/passwd", PASSWD),
            ("etc/group", GROUP),
        ],
        links: &[],
        config: || {
            json!({"config": {
                "Cmd": ["nginx", "-g", "daemon off;"],
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "ExposedPorts": {"80/tcp": {}},
                "StopSignal": "SIGQUIT",
            }})
        },
    },
    Recipe {
        image: "python:3-slim",
        reference: "docker.io/library/python:3-slim",
        packages: "python3,base-files,coreutils,dash",
        files: &[("etc/passwd", PASSWD), ("etc/group", GROUP)],
        links: &[
            ("usr/local/bin/python", "/usr/bin/python3"),
            ("usr/local/bin/python3", "/usr/bin/python3"),
        ],
        config: || {
            json!({"config": {
                "Cmd": ["python3"],
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
            }})
        },
    },
];
