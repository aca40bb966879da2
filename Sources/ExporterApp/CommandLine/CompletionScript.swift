// Completion in shells: ArgumentParser writes the scripts from the options, but takes `--` for the end of all options,
// while here Martlet's own begin behind it.
import ArgumentParser

/// `--generate-completion-script SHELL`, with what makes it see the words behind `--` alone.
enum CompletionScript {
  /// The script for a shell; nil where ArgumentParser has none.
  static func text(_ shell: String) -> String? {
    guard let shell = CompletionShell(rawValue: shell) else { return nil }
    let script = Options.completionScript(for: shell)
    // ArgumentParser offers a subcommand that nothing here has.
    switch shell {
    case .bash:
      return script.replacing("-W 'help'", with: "-W ''").replacing(start, with: start + bash) + "\n"
    case .zsh: return script.replacing(start, with: start + zsh) + "\n"
    default:
      let lines = script.split(separator: "\n", omittingEmptySubsequences: false)
      return lines.filter { !$0.contains("-fa 'help'") }.joined(separator: "\n") + fish
    }
  }

  /// How the function begins that completes a command line.
  private static let start = "\n_martlet() {\n"

  private static let bash = """
        # What is behind -- are Martlet's own options.
        local -i separator
        for ((separator = COMP_CWORD - 1; separator > 0; separator--)); do
            [[ "${COMP_WORDS[separator]}" == -- ]] || continue
            COMP_WORDS=("${COMP_WORDS[0]}" "${COMP_WORDS[@]:separator+1}")
            COMP_CWORD=$((COMP_CWORD - separator))
            break
        done

    """

  private static let zsh = """
        # What is behind -- are Martlet's own options.
        local -i separator="${words[(I)--]}"
        if ((separator > 1 && separator < CURRENT)); then
            words=("${words[1]}" "${(@)words[separator+1,-1]}")
            CURRENT=$((CURRENT - separator + 1))
        fi

    """

  private static let fish = """

    # What is behind -- are Martlet's own options: completed as if nothing else were there.
    function __martlet_behind_separator
        contains -- -- (__martlet_tokens -pc)[2..]
    end

    function __martlet_complete_behind_separator
        set -l tokens (__martlet_tokens -pc)
        set -l first (math (contains -i -- -- $tokens) + 1)
        set -l own $tokens[$first..]
        complete -C "martlet $own $(commandline -t)"
    end

    complete -c 'martlet' -n __martlet_behind_separator -fa '(__martlet_complete_behind_separator)'

    """
}
