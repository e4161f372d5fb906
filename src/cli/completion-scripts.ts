/** A shell with a completion. */
export type Shell = 'bash' | 'zsh' | 'fish';

/**
 * The completion for a shell. It asks the program that is typed, by `completion SHELL -- WORD...`, and offers files if there is no
 * answer.
 */
export function completionScript(shell: Shell): string {
  return SCRIPTS[shell];
}

const SCRIPTS: Readonly<Record<Shell, string>> = {
  // bash completes only the end of a word: what follows the last character of COMP_WORDBREAKS, or the last "@" with it.
  bash: `# bash completion of cache, printed by: cache completion bash
_cache() {
  local line="\${COMP_LINE:0:COMP_POINT}" words
  read -r -a words <<< "$line"
  [[ $line == *[[:blank:]] ]] && words+=("")
  local word="\${words[-1]}"
  local before="\${word%"\${word##*[$COMP_WORDBREAKS]}"}"
  mapfile -t COMPREPLY < <("\${words[0]}" completion bash -- "\${words[@]}" 2> /dev/null)
  COMPREPLY=("\${COMPREPLY[@]#"\${before%@}"}")
}
complete -o default -F _cache cache
`,
  zsh: `#compdef cache
# zsh completion of cache, printed by: cache completion zsh
_cache() {
  local -a candidates
  candidates=("\${(@f)$("$words[1]" completion zsh -- "\${(@)words[1,CURRENT-1]}" "$PREFIX" 2> /dev/null)}")
  if [[ -n "$candidates" ]]; then
    _describe cache candidates
  else
    _files
  fi
}
if [[ "$funcstack[1]" == _cache ]]; then
  _cache "$@"
else
  compdef _cache cache
fi
`,
  fish: `# fish completion of cache, printed by: cache completion fish
function __cache_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l candidates ($words[1] completion fish -- $words 2> /dev/null)
  if test (count $candidates) -gt 0
    string join \\n -- $candidates
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c cache -f -a '(__cache_complete)'
`,
};
