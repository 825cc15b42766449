# bash completion for ccbridgectl; made by: ccbridgectl completion bash
_ccbridgectl() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
  local flags="--runtime-dir --json --color -h --help --version" valued="--runtime-dir --color"
  local verb="" kind="" words="" choose="" operands=0 i word
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $word == -* ]]; then
      [[ " $valued " == *" $word "* ]] && ((i++))
    elif [[ -z $verb ]]; then
      verb=$word
    else
      ((operands++))
    fi
  done
  case "$verb" in
    "") words="status list ls ps add remove rm start stop restart send wait result cancel queue interrupt history events logs approvals approve deny health discover doctor completion help" ;;
    status)
      flags="--runtime-dir --json --color -h --help --version"
      valued="--runtime-dir --color"
      kind=instances
      ;;
    list|ls|ps)
      flags="-q --quiet --filter --runtime-dir --json --color -h --help --version"
      valued="--filter --runtime-dir --color"
      ;;
    add)
      flags="--container --image --process --transport --driver --program --workdir -e --env --env-file -v --volume --network -u --user -m --memory --cpus --no-wait --runtime-dir --json --color -h --help --version"
      valued="--container --image --transport --driver --workdir -e --env --env-file -v --volume --network -u --user -m --memory --cpus --runtime-dir --color"
      case "$prev" in
        --transport) words="auto fifo stream socket files exec"; choose=1 ;;
        --driver) words="claude tmux"; choose=1 ;;
      esac
      ;;
    remove|rm)
      flags="-y --yes --runtime-dir --json --color -h --help --version"
      valued="--runtime-dir --color"
      kind=instances
      ;;
    start)
      flags="--container --no-wait --runtime-dir --json --color -h --help --version"
      valued="--runtime-dir --color"
      kind=instances
      ;;
    stop)
      flags="--container --no-wait --runtime-dir --json --color -h --help --version"
      valued="--runtime-dir --color"
      kind=instances
      ;;
    restart)
      flags="--container --no-wait --runtime-dir --json --color -h --help --version"
      valued="--runtime-dir --color"
      kind=instances
      ;;
    send)
      flags="--file --id --no-wait --timeout --retry-uncertain --runtime-dir --json --color -h --help --version"
      valued="--file --id --timeout --runtime-dir --color"
      kind=instances
      ;;
    wait)
      flags="--runtime-dir --json --color -h --help --version"
      valued="--runtime-dir --color"
      kind=requests
      ;;
    result)
      flags="--runtime-dir --json --color -h --help --version"
      valued="--runtime-dir --color"
      kind=requests
      ;;
    cancel)
      flags="--runtime-dir --json --color -h --help --version"
      valued="--runtime-dir --color"
      kind=requests
      ;;
    queue)
      flags="--move --drop --runtime-dir --json --color -h --help --version"
      valued="--move --drop --runtime-dir --color"
      kind=instances
      ;;
    interrupt)
      flags="--runtime-dir --json --color -h --help --version"
      valued="--runtime-dir --color"
      kind=instances
      ;;
    history)
      flags="-n --runtime-dir --json --color -h --help --version"
      valued="-n --runtime-dir --color"
      kind=instances
      ;;
    events)
      flags="--since -f --follow --runtime-dir --json --color -h --help --version"
      valued="--since --runtime-dir --color"
      kind=instances
      ;;
    logs)
      flags="-f --follow -n --runtime-dir --json --color -h --help --version"
      valued="-n --runtime-dir --color"
      kind=instances
      ;;
    approvals)
      flags="--runtime-dir --json --color -h --help --version"
      valued="--runtime-dir --color"
      kind=instances
      ;;
    approve)
      flags="--session --always --runtime-dir --json --color -h --help --version"
      valued="--runtime-dir --color"
      kind=approvals
      ;;
    deny)
      flags="--reason --runtime-dir --json --color -h --help --version"
      valued="--reason --runtime-dir --color"
      kind=approvals
      ;;
    health)
      flags="--component --runtime-dir --json --color -h --help --version"
      valued="--component --runtime-dir --color"
      ;;
    discover)
      flags="--add --runtime-dir --json --color -h --help --version"
      valued="--runtime-dir --color"
      ;;
    doctor)
      flags="--runtime-dir --json --color -h --help --version"
      valued="--runtime-dir --color"
      ;;
    completion)
      flags="--runtime-dir --json --color -h --help --version"
      valued="--runtime-dir --color"
      words="bash zsh fish"
      ;;
    help)
      flags="--runtime-dir --json --color -h --help --version"
      valued="--runtime-dir --color"
      words="status list add remove start stop restart send wait result cancel queue interrupt history events logs approvals approve deny health discover doctor completion help"
      ;;
  esac
  case "$prev" in
    --color) words="auto always never"; choose=1 ;;
  esac
  if [[ -z $choose && $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
  elif [[ -z $choose && " $valued " == *" $prev "* ]]; then
    COMPREPLY=($(compgen -f -- "$cur"))
  elif [[ -n $choose || $operands -eq 0 ]]; then
    [[ -n $kind && -z $choose ]] && words="$(ccbridgectl names "$kind" 2>/dev/null)"
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  fi
}
complete -o default -F _ccbridgectl ccbridgectl
