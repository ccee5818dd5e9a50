import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import process from 'node:process'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { commandsIn, headingAnchors, linksIn } from './markdown.ts'
import { projectFile, projectFiles } from './project-files.ts'

const runFile = promisify(execFile)
const program = projectFile('main/console/landfall.ts')

const documents = projectFiles('.', '.md').map((file) => ({
  file,
  text: readFileSync(projectFile(file), 'utf8'),
}))

describe('links between documents', () => {
  it('lead to files and headings that exist', () => {
    const broken = documents.flatMap(({ file, text }) =>
      linksIn(text)
        .filter((link) => !/^[a-z]+:/u.test(link) && !leadsSomewhere(file, link))
        .map((link) => `${file}: ${link}`),
    )
    expect(broken).toEqual([])
  })

  it('are found, and found broken where they are', () => {
    expect(linksIn('[a](x.md) `[b](y.md)`\n```\n[c](z.md)\n```\n![d](img.png)')).toEqual(['x.md', 'img.png'])
    expect(leadsSomewhere('README.md', 'docs/no-such-file.md')).toBe(false)
    expect(leadsSomewhere('README.md', 'docs/operators.md#no-such-heading')).toBe(false)
    expect(leadsSomewhere('README.md', 'docs/operators.md#limits-of-this-version')).toBe(true)
  })
})

function leadsSomewhere(file: string, link: string): boolean {
  const [path = '', anchor] = link.split('#')
  const target = path === '' ? file : posix.join(posix.dirname(file), path)
  if (!existsSync(projectFile(target))) return false
  return (
    anchor === undefined ||
    headingAnchors(readFileSync(projectFile(target), 'utf8')).has(decodeURIComponent(anchor))
  )
}

describe('commands in the documents', () => {
  /** The whole command line as it describes itself: "plan lint" → its help text. */
  const helpTexts = new Map<string, string>()

  beforeAll(async () => {
    const read = async (words: readonly string[]): Promise<void> => {
      const { stdout } = await runFile(process.execPath, [program, ...words, '--help'], {
        // As scripts/run.mjs does: types are stripped once.
        env: { ...process.env, NODE_COMPILE_CACHE: projectFile('node_modules/.cache/landfall') },
      })
      helpTexts.set(words.join(' '), stdout)
      await Promise.all(commandNames(stdout).map((name) => read([...words, name])))
    }
    await read([])
  }, 60_000)

  it('exist with the options that are named', () => {
    const wrong = documents.flatMap(({ file, text }) =>
      commandsIn(text).flatMap((command) => {
        const problem = problemOf(command, helpTexts)
        return problem === undefined ? [] : [`${file}: ${command}: ${problem}`]
      }),
    )
    expect(wrong).toEqual([])
  })

  it('are found in blocks, tables and pipelines, and found wrong where they are', () => {
    expect(
      commandsIn(
        '| `landfall plan lint F` |\n```sh\nA=b landfall run x # why\nprintf x | landfall vault set y\n```',
      ),
    ).toEqual(['landfall run x', 'printf x', 'landfall vault set y', 'landfall plan lint F'])
    expect(problemOf('landfall rum x', helpTexts)).toContain('rum')
    expect(problemOf('landfall plan', helpTexts)).toBeUndefined()
    expect(problemOf('landfall plan lent x', helpTexts)).toContain('lent')
    expect(problemOf('landfall run x --resum', helpTexts)).toContain('--resum')
    expect(problemOf('npm run no-such-script', helpTexts)).toContain('no-such-script')
  })

  it('are all explained somewhere: every command of the program is in a document', () => {
    const named = documents.flatMap(({ text }) => commandsIn(text)).map(asLandfall)
    const leaves = [...helpTexts].filter(([words, help]) => words !== '' && commandNames(help).length === 0)
    const unexplained = leaves
      .map(([words]) => words)
      .filter((words) => !named.some((command) => `${command ?? ''} `.startsWith(`${words} `)))
    expect(unexplained).toEqual([])
  })
})

/** Names below "Commands:" of a help text; a description that goes on in the next line is indented deeper. */
function commandNames(help: string): string[] {
  const [, list = ''] = help.split(/^Commands:$/mu)
  return [...list.matchAll(/^ {2}([a-z][a-z-]*)/gmu)]
    .map((match) => match[1] ?? '')
    .filter((name) => name !== 'help')
}

/** What stands behind the name of the program; `undefined` for another program. */
function asLandfall(command: string): string | undefined {
  return /^(?:npm run -s landfall --|landfall) (.+)$/u.exec(command)?.[1]
}

const scripts = z
  .object({ scripts: z.record(z.string(), z.string()) })
  .parse(JSON.parse(readFileSync(projectFile('package.json'), 'utf8'))).scripts

function problemOf(command: string, helpTexts: ReadonlyMap<string, string>): string | undefined {
  const script = /^npm run (?:-s )?([a-z][\w-]*)/u.exec(command)?.[1]
  if (script !== undefined && scripts[script] === undefined) return `package.json has no script ${script}`
  const words = asLandfall(command)?.split(/\s+/u)
  if (words === undefined || words[0] === '…') return undefined
  let known = ''
  while (words[0] !== undefined && helpTexts.has(`${known} ${words[0]}`.trim())) {
    known = `${known} ${words.shift() ?? ''}`.trim()
  }
  const help = helpTexts.get(known) ?? ''
  const [next] = words
  const isGroup = commandNames(help).length > 0
  if (isGroup && next !== undefined && next !== '…' && !next.startsWith('-'))
    return `there is no command ${next}`
  const options = words.filter((word) => word.startsWith('--')).map((word) => word.split('=')[0] ?? '')
  const unknown = options.find((option) => !new RegExp(`(^|\\s)${option}(\\s|$)`, 'mu').test(help))
  return unknown === undefined ? undefined : `there is no option ${unknown}`
}
