/** `whalescale completion SHELL`: a script for the shell, which asks the program for the words. */
import { ExitCode } from '../../errors.js'
import { print } from '../target.js'

export const shells = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof shells)[number]

/** The program answers to this option with one completion per line (yargs). */
const ask = 'whalescale --get-yargs-completions'

const scripts: Record<Shell, string> = {
  bash: `_whalescale() {
  mapfile -t COMPREPLY < <(compgen -W "$(${ask} "\${COMP_WORDS[@]:0:COMP_CWORD+1}")" -- "\${COMP_WORDS[COMP_CWORD]}")
}
complete -o default -F _whalescale whalescale`,
  zsh: `#compdef whalescale
_whalescale() {
  local -a words_found
  words_found=("\${(@f)$(${ask} "\${words[@]}")}")
  _describe whalescale words_found || _files
}
compdef _whalescale whalescale`,
  fish: `complete -c whalescale -a '(${ask} (commandline -opc) (commandline -ct) | string replace : \\t)'`,
}

export function completion(shell: Shell): Promise<ExitCode> {
  print(scripts[shell])
  return Promise.resolve(ExitCode.ok)
}
