const fence = /^(`{3,}|~{3,})/u

/** Lines outside and inside of fenced code blocks (CommonMark 4.5). */
function splitCode(markdown: string): { prose: string[]; code: string[] } {
  const prose: string[] = []
  const code: string[] = []
  let opened: string | undefined
  for (const line of markdown.split('\n')) {
    const mark = fence.exec(line.trim())?.[1]
    if (opened === undefined && mark !== undefined) opened = mark
    else if (opened !== undefined && mark?.startsWith(opened) === true) opened = undefined
    else (opened === undefined ? prose : code).push(line)
  }
  return { prose, code }
}

/** Targets of inline links and images, without those in code. */
export function linksIn(markdown: string): string[] {
  const text = splitCode(markdown)
    .prose.join('\n')
    .replace(/`[^`\n]*`/gu, 'code')
  return [...text.matchAll(/\]\(([^()\s]+)\)/gu)].map((match) => match[1] ?? '')
}

/** The anchors that GitHub gives to the headings. */
export function headingAnchors(markdown: string): Set<string> {
  return new Set(
    splitCode(markdown)
      .prose.filter((line) => /^#{1,6} /u.test(line))
      .map((line) =>
        line
          .replace(/^#+ /u, '')
          .toLowerCase()
          .replace(/[^\p{L}\p{N} _-]/gu, '')
          .replaceAll(' ', '-'),
      ),
  )
}

/** Every shell command that the text names, in code blocks and in inline code; a pipeline gives several. */
export function commandsIn(markdown: string): string[] {
  const { prose, code } = splitCode(markdown)
  const inline = [...prose.join('\n').matchAll(/`([^`\n]+)`/gu)].map((match) => match[1] ?? '')
  return [...code, ...inline]
    .flatMap((line) => line.replace(/\s#.*$/u, '').split(/\s(?:\||\|\||&&|;)\s/u))
    .map((command) => command.trim().replace(/^([A-Z_]+=("[^"]*"|\S+)\s+)+/u, ''))
    .filter((command) => command !== '')
}
