import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { collectScript, markOfScript } from './collect-script.ts'
import { readReport, type Report } from './report.ts'
import { sectionNames, type SectionName } from './sections.ts'

const mark = 'landfall-0123456789abcdef'
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'landfall-facts-'))
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

interface Run {
  shell?: readonly string[]
  /** Found before the programs of the system: name and shell script. */
  programs?: Readonly<Record<string, string>>
  /** Only these programs of the system are there. */
  only?: readonly string[]
  environment?: Readonly<Record<string, string>>
  budgetSeconds?: number
  mostSeconds?: number
  asArgument?: boolean
  /** What a login script prints. */
  noise?: { before: string; after: string }
}

interface Outcome {
  text: string
  report: Report
  exitCode: number | null
  stderr: string
  milliseconds: number
}

/** Runs the script as the account's shell gets it. */
async function collect(options: Run = {}): Promise<Outcome> {
  const { shell = ['/bin/sh'], noise, budgetSeconds = 60, mostSeconds } = options
  const [program = '', ...parameters] = shell
  const script = collectScript(mark, budgetSeconds, mostSeconds)
  const isolated = options.only === undefined ? script : isolate(script, folderOf(options.only))
  const programs = folderOfScripts(options.programs ?? {})
  const startedAt = performance.now()
  const child = spawn(
    program,
    options.asArgument === true ? [...parameters, '-c', isolated] : [...parameters, '-s'],
    {
      env: {
        PATH: options.only === undefined ? `${programs}:${process.env['PATH'] ?? ''}` : programs,
        ...options.environment,
      },
    },
  )
  let text = noise?.before ?? ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  child.stdin.on('error', () => undefined)
  child.stdin.end(options.asArgument === true ? '' : isolated)
  // 'close' comes only when nobody holds the streams any more: sshd waits for the same.
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  text += noise?.after ?? ''
  const milliseconds = performance.now() - startedAt
  return { text, stderr, exitCode, milliseconds, report: readReport(mark, text) }
}

/** The script looks in the usual folders as well; here these are not there. */
function isolate(script: string, path: string): string {
  const isolated = script.replace(/^PATH=.*$/mu, `PATH=$PATH:${path}`)
  expect(isolated).not.toBe(script)
  return isolated
}

function folderOfScripts(programs: Readonly<Record<string, string>>): string {
  const bin = mkdtempSync(join(folder, 'bin-'))
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`)
    chmodSync(join(bin, name), 0o755)
  }
  return bin
}

/** `name`: the system's; `name=path`: another one under that name. */
function folderOf(names: readonly string[]): string {
  const bin = mkdtempSync(join(folder, 'only-'))
  for (const entry of names) {
    const [name = '', path] = entry.split('=')
    const found = path ?? ['/bin', '/usr/bin', '/usr/sbin'].map((place) => join(place, name)).find(existsSync)
    if (found !== undefined) symlinkSync(found, join(bin, name))
  }
  return bin
}

function endOf({ report }: Outcome, name: SectionName) {
  return report.sections.get(name)?.end
}

const shells = [
  ['/bin/dash'],
  ['/bin/bash'],
  ['/bin/bash', '--posix'],
  ['/bin/busybox', 'ash'],
  ['/bin/mksh'],
  ['/bin/zsh', '--emulate', 'sh'],
].filter(([path = '']) => existsSync(path))

describe('the script', () => {
  it('asks for everything in every shell, and is told the same', async () => {
    const outcomes = await Promise.all(
      shells.map(async (shell) => ({ shell: shell.join(' '), outcome: await collect({ shell }) })),
    )
    // What does not change from one moment to the next.
    const constant = ['kernel', 'os-release', 'host-name', 'identity', 'processors', 'boot-marks'] as const
    const toldBy = ({ report }: Outcome) =>
      constant.map((name) => ({ ...report.sections.get(name), milliseconds: undefined }))
    for (const { shell, outcome } of outcomes) {
      expect({ shell, exitCode: outcome.exitCode, stderr: outcome.stderr }).toEqual({
        shell,
        exitCode: 0,
        stderr: '',
      })
      expect(outcome.report.isComplete).toBe(true)
      expect([...outcome.report.sections.keys()]).toEqual(sectionNames)
      for (const [name, { end }] of outcome.report.sections) {
        expect({ shell, name, kind: end.kind }).toEqual({
          shell,
          name,
          kind: expect.stringMatching(/^(complete|missing)$/u) as string,
        })
      }
      expect(outcome.report.sections.get('kernel')?.text).toMatch(/^Linux \S+ \S+\n$/u)
      const memory = outcome.report.sections.get('memory')?.parts[0]
      expect(memory).toMatchObject({ kind: 'file', name: '/proc/meminfo' })
      expect(memory?.text).toContain('MemTotal:')
      if (outcomes[0] !== undefined) expect(toldBy(outcome)).toEqual(toldBy(outcomes[0].outcome))
    }
  })

  it('is the same as one argument', async () => {
    const outcome = await collect({ asArgument: true })
    expect(outcome.report.isComplete).toBe(true)
    expect(outcome.report.sections.size).toBe(sectionNames.length)
  })

  it('has no bashisms and can be read by the strictest shell', async () => {
    const script = collectScript(mark, 60)
    expect(script).not.toMatch(/\[\[|\bfunction \w|<<<|<\(|\$'|^\s*(local|declare) |&>/mu)
    expect(Buffer.byteLength(script)).toBeLessThan(64 * 1024)
    const check = spawn('/bin/dash', ['-n', '-c', script])
    expect(await new Promise((resolve) => check.on('close', resolve))).toBe(0)
  })

  it('can be told from any other script', () => {
    expect(markOfScript(collectScript(mark, 60))).toBe(mark)
    expect(markOfScript('echo hi\n')).toBeUndefined()
    expect(() => collectScript('x; rm -r /', 60)).toThrow(TypeError)
  })

  it('survives a greeting and a farewell, also one that looks like a report', async () => {
    const forged = '\nlandfall-ffff start\n\nlandfall-ffff begin kernel 1.0\nLinux 9.9 evil\n'
    const outcome = await collect({
      noise: { before: `Welcome to node-7!${forged}no line end`, after: `\nbye${forged}` },
    })
    expect(outcome.report.isComplete).toBe(true)
    expect(outcome.report.sections.get('kernel')?.text).not.toContain('evil')
  })

  it('is not led astray by its environment', async () => {
    const outcome = await collect({
      environment: {
        IFS: '/',
        LC_ALL: 'de_DE.UTF-8',
        LANG: 'de_DE.UTF-8',
        CDPATH: '/tmp',
        ENV: '/no/such/file',
        POSIXLY_CORRECT: '1',
        mark: 'x',
        seconds: 'x',
        count: 'x',
      },
    })
    expect(outcome.report.isComplete).toBe(true)
    expect(outcome.stderr).toBe('')
    expect(outcome.report.sections.get('services')?.said).not.toMatch(/[äöüß]/u)
  })
})

describe('a program on the node', () => {
  it('that hangs and cannot be ended costs its own section only, in every shell', async () => {
    const outcomes = await Promise.all(
      shells.map((shell) =>
        collect({
          shell,
          mostSeconds: 1,
          programs: {
            // Deaf to TERM, and its child holds the output for longer than anybody wants to wait.
            lsblk: "trap '' TERM\necho '{\"blockdevices\": ['\nsetsid sleep 30 &\nsleep 30",
            nproc: 'exec sleep 30',
          },
        }),
      ),
    )
    for (const outcome of outcomes) {
      expect(outcome.report.isComplete).toBe(true)
      expect(endOf(outcome, 'block-devices')).toEqual({ kind: 'stuck' })
      expect(outcome.report.sections.get('block-devices')?.text).toBe('{"blockdevices": [\n')
      expect(endOf(outcome, 'processors')).toMatchObject({ kind: 'complete', exitCode: 124 })
      expect(endOf(outcome, 'routes')).toEqual({ kind: 'complete', exitCode: 0 })
      expect(outcome.milliseconds).toBeLessThan(20_000)
    }
  }, 60_000)

  it('that prints without an end is cut off', async () => {
    const outcome = await collect({ programs: { uname: 'exec yes 0123456789', nproc: 'yes oops >&2 & sleep 1; kill $!; echo 4' } }) // prettier-ignore
    expect(endOf(outcome, 'kernel')).toEqual({ kind: 'broken' })
    expect(outcome.report.sections.get('kernel')?.text.length).toBeLessThanOrEqual(32 * 1024)
    expect(endOf(outcome, 'processors')).toEqual({ kind: 'complete', exitCode: 0 })
    expect(outcome.report.sections.get('processors')).toMatchObject({
      text: '4\n',
      said: 'oops\noops\noops\noops\noops',
    })
    expect(outcome.report.isComplete).toBe(true)
    expect(Buffer.byteLength(outcome.text)).toBeLessThan(1024 * 1024)
  })

  it('that fails says why, in its first lines', async () => {
    const outcome = await collect({
      programs: { uname: "printf 'half'; echo 'cannot do it' >&2; exit 7" },
    })
    expect(outcome.report.sections.get('kernel')).toMatchObject({
      end: { kind: 'complete', exitCode: 7 },
      text: 'half',
      said: 'cannot do it',
    })
  })

  it('that is not there is missing, and the others are asked', async () => {
    const basic = ['sh', 'cat', 'ls', 'head', 'timeout', 'date', 'uname', 'grep', 'nproc', 'df', 'od']
    const outcome = await collect({ only: basic })
    expect(outcome.report.isComplete).toBe(true)
    expect(endOf(outcome, 'block-devices')).toEqual({ kind: 'missing', program: 'lsblk' })
    expect(endOf(outcome, 'links')).toEqual({ kind: 'missing', program: 'ip' })
    expect(endOf(outcome, 'kernel')).toEqual({ kind: 'complete', exitCode: 0 })
    expect(outcome.report.sections.get('interfaces')?.parts.length).toBeGreaterThan(0)
  })

  it('has no time limit on a node without timeout and head, and everything is asked all the same', async () => {
    const outcome = await collect({ only: ['sh', 'cat', 'date', 'uname'] })
    expect(outcome.report.isComplete).toBe(true)
    expect(endOf(outcome, 'kernel')).toEqual({ kind: 'complete', exitCode: 0 })
    expect(outcome.report.sections.get('memory')?.parts[0]?.text).toContain('MemTotal')
  })

  it.skipIf(!existsSync('/bin/busybox'))('may be one of BusyBox', async () => {
    const names = ['sh', 'cat', 'ls', 'head', 'timeout', 'date', 'uname', 'grep', 'nproc', 'df', 'od', 'ip']
    const outcome = await collect({
      shell: ['/bin/busybox', 'ash'],
      only: names.map((name) => `${name}=/bin/busybox`),
    })
    expect(outcome.report.isComplete).toBe(true)
    expect(endOf(outcome, 'routes')).toEqual({ kind: 'complete', exitCode: 0 })
    expect(outcome.report.sections.get('addresses')?.text).toMatch(/^\d+: lo +inet 127\.0\.0\.1\/8/mu)
    expect(endOf(outcome, 'space')).toEqual({ kind: 'complete', exitCode: 0 })
  })
})

describe('the time', () => {
  it('of the whole is kept: what would come later is skipped, and said to be', async () => {
    const outcome = await collect({
      budgetSeconds: 2,
      programs: { uname: 'exec sleep 25', nproc: 'exec sleep 25' },
    })
    expect(outcome.report.isComplete).toBe(true)
    expect(endOf(outcome, 'time')).toEqual({ kind: 'complete', exitCode: 0 })
    expect(endOf(outcome, 'health')).toEqual({ kind: 'skipped' })
    expect(outcome.milliseconds).toBeLessThan(9000)
  })

  it('that a section took is told', async () => {
    const outcome = await collect({ programs: { uname: 'sleep 0.4; echo Linux 6 x86_64' } })
    expect(outcome.report.sections.get('kernel')?.milliseconds).toBeGreaterThanOrEqual(390)
  })
})

describe('on the node', () => {
  it('nothing is written', async () => {
    const place = mkdtempSync(join(folder, 'home-'))
    const outcome = await collect({ environment: { TMPDIR: place, HOME: place } })
    expect(outcome.report.isComplete).toBe(true)
    expect(readdirSync(place)).toEqual([])
    // Every redirection of the script goes into another stream, or nowhere.
    const targets = [...collectScript(mark, 60).matchAll(/>\s*("?[^\s;&|)]+|&\d|&-)/gu)].map(
      ([, target]) => target,
    )
    expect(targets).toContain('/dev/null')
    expect(targets.filter((target) => target !== '/dev/null' && target?.startsWith('&') !== true)).toEqual([])
  })
})
