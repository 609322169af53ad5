//! probe
use iapeer::core::Paths;
use iapeer::runtime::manifest::Manifest;
use iapeer::runtime::screen::Screen;
#[test]
fn probe() {
    let paths = Paths::read(|name| (name == "IAPEER_ROOT").then(|| "/nonexistent".into())).unwrap();
    let base = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/screens");
    for rt in std::env::var("RTS").unwrap_or("claude codex".into()).split(' ') {
        let rules = Manifest::load(&paths, &rt.parse().unwrap()).unwrap().screen.unwrap();
        for v in std::fs::read_dir(base.join(rt)).unwrap() {
            let v = v.unwrap().path();
            let mut fs: Vec<_> = std::fs::read_dir(&v)
                .unwrap()
                .map(|f| f.unwrap().path())
                .filter(|p| p.extension().unwrap() == "ansi")
                .collect();
            fs.sort();
            for f in fs {
                let meta = std::fs::read_to_string(f.with_extension("meta")).unwrap();
                let title = meta.split("title=").nth(1).and_then(|t| t.split(" cmd=").next()).unwrap_or("").to_string();
                let s =
                    Screen { styled: std::fs::read_to_string(&f).unwrap(), title: title.clone(), host: "vm".into() };
                let d: String = format!("{:?}", s.sight(&rules)).chars().take(110).collect();
                println!(
                    "{rt}/{}/{:<40} [{title}] {d}",
                    v.file_name().unwrap().to_str().unwrap(),
                    f.file_stem().unwrap().to_str().unwrap()
                );
            }
        }
    }
}
