# For a tap of your own (docs/install.md). No release is published anywhere yet, so there is no `url`: it builds what a Git
# repository has, yours by HOMEBREW_IAPEER_GIT=/path/to/iapeer. No `service`: `iapeer units install` writes what launchd
# runs, with the user's own paths.
class Iapeer < Formula
  desc "Keeps a team of AI agent sessions always reachable: durable messages, no daemon"
  head ENV.fetch("HOMEBREW_IAPEER_GIT", "https://example.invalid/iapeer.git"), using: :git, branch: "main"
  license any_of: ["Apache-2.0", "MIT"]

  depends_on "rust" => :build
  depends_on "tmux"

  def install
    system "make", "install", "PREFIX=#{prefix}", "MANDIR=#{man1}", "DOCDIR=#{doc}",
           "BASHDIR=#{bash_completion}", "ZSHDIR=#{zsh_completion}", "FISHDIR=#{fish_completion}"
  end

  def caveats
    "`iapeer units install` has the service manager run it for you; `iapeer units uninstall` ends that."
  end

  test do
    assert_match(/^iapeer \d/, shell_output("#{bin}/iapeer --version"))
    system bin/"iapeer", "man", testpath
    assert_path_exists testpath/"iapeer-send.1"
  end
end
