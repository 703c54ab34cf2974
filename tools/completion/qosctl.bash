# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for qosctl. What may come next is qosctl's own knowledge (and the daemon's, for
# names of guests and classes); where it knows nothing, file names are offered.
_qosctl()
{
	local candidates i
	mapfile -t candidates < <("${COMP_WORDS[0]}" complete \
		"${COMP_WORDS[@]:1:COMP_CWORD}" 2> /dev/null)
	COMPREPLY=()
	for i in "${candidates[@]}"; do
		COMPREPLY+=("$(printf '%q' "$i")")
	done
}
complete -o default -F _qosctl qosctl
