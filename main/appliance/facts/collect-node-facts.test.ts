import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { AppError } from '../../../shared/errors/index.ts'
import type { ProgramResult, ProgramRunner, RunOptions } from '../../network/programs/program-runner.ts'
import { collectNodeFacts, type CollectOptions } from './collect-node-facts.ts'
import { writeReport } from './report.ts'
import { sectionNames } from './sections.ts'

const mark = 'landfall-0123456789abcdef'
const folders: string[] = []
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

interface Call {
  program: string
  args: readonly string[]
  options: RunOptions
}

/** A node that gives these answers, one after the other. */
function runnerOf(...answers: (ProgramResult | Error)[]): ProgramRunner & { calls: Call[] } {
  const calls: Call[] = []
  return {
    place: 'n1',
    platform: 'linux',
    calls,
    run: (program, args, options) => {
      calls.push({ program, args, options })
      const answer = answers[calls.length - 1] ?? new Error('asked too often')
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)
    },
  }
}

/** This machine, with other programs before its own. */
function localRunner(programs: Readonly<Record<string, string>> = {}): ProgramRunner {
  const bin = mkdtempSync(join(tmpdir(), 'landfall-local-'))
  folders.push(bin)
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`)
    chmodSync(join(bin, name), 0o755)
  }
  return {
    place: 'workstation',
    platform: 'linux',
    run: (program, args, { input = '', signal }) =>
      new Promise((resolve, reject) => {
        const child = spawn(program, args, { env: { PATH: `${bin}:${process.env['PATH'] ?? ''}` }, signal })
        let [stdout, stderr] = ['', '']
        child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
        child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
        child.on('error', () => {
          reject(signal.reason as Error)
        })
        child.on('close', (exitCode) => {
          resolve({ kind: 'ended', exitCode, stdout, stderr })
        })
        child.stdin.on('error', () => undefined)
        child.stdin.end(input)
      }),
  }
}

let now = 1000
const options = (changes: Partial<CollectOptions> = {}): CollectOptions => ({
  signal: new AbortController().signal,
  deadlineSeconds: 30,
  asRoot: false,
  clock: { now: () => (now += 250) },
  mark,
  ...changes,
})

const ended = (stdout: string, exitCode: number | null = 0, stderr = ''): ProgramResult => ({
  kind: 'ended',
  exitCode,
  stdout,
  stderr,
})
const report = writeReport(mark, {
  kernel: { text: 'Linux 5.15.0-139-generic x86_64\n' },
  processors: { text: '8\n' },
})

describe('the facts of this machine', () => {
  it('are read with one round trip, and are true', async () => {
    const runner = localRunner({
      // What this machine may not have.
      'kairos-agent': 'printf active_boot',
      nproc: 'echo 48',
      dmidecode: "printf 'Handle 0x1, DMI type 17, 40 bytes\\nMemory Device\\n\\tSize: 64 GB\\n'",
    })
    const collected = await collectNodeFacts(runner, options())
    const { facts } = collected
    expect(collected).toMatchObject({
      place: 'workstation',
      completeness: { kind: 'complete' },
      privilege: { kind: 'account', reason: undefined },
      durationMs: 250,
    })
    expect(facts.boot.state).toEqual({
      kind: 'read',
      value: 'active_boot',
      source: 'kairos-agent state get boot',
    })
    expect(facts.cpu.count).toMatchObject({ kind: 'read', value: 48 })
    expect(facts.memory.installed).toMatchObject({ kind: 'read', value: 64 * 1024 ** 3 })
    expect(facts.os.architecture).toMatchObject({ value: process.arch === 'arm64' ? 'arm64' : 'amd64' })
    const { epochMs } = facts.clock
    expect(epochMs.kind === 'read' && Math.abs(epochMs.value - Date.now())).toBeLessThan(15_000)
    const { interfaces } = facts.network
    const names = interfaces.kind === 'read' ? interfaces.value.map(({ name }) => name) : []
    expect(names).toContain('lo')
    expect(collected.raw).toContain('kairos-agent')
  })
})

describe('the call', () => {
  it('is one run of sh with the script as its input', async () => {
    const runner = runnerOf(ended(report))
    const collected = await collectNodeFacts(runner, options({ asRoot: true }))
    expect(runner.calls).toHaveLength(1)
    expect(runner.calls[0]).toMatchObject({ program: 'sh', args: ['-s'], options: { asRoot: true } })
    expect(runner.calls[0]?.options.input).toContain(mark)
    expect(collected.privilege).toEqual({ kind: 'root' })
    expect(collected.facts.cpu.count).toMatchObject({ kind: 'read', value: 8 })
  })

  it('has a new mark each time', async () => {
    const runner = runnerOf(ended(''), ended(''))
    const { mark: _, ...unmarked } = options()
    await collectNodeFacts(runner, unmarked)
    await collectNodeFacts(runner, unmarked)
    const marks = runner.calls.map(({ options: { input } }) => /^mark=(.*)$/mu.exec(input ?? '')?.[1])
    expect(marks[0]).toMatch(/^landfall-[0-9a-f]{24}$/u)
    expect(marks[1]).not.toBe(marks[0])
  })

  it('is made again without root where root cannot be had, and says why', async () => {
    const runner = runnerOf({ kind: 'not-permitted', reason: 'sudo: a password is required' }, ended(report))
    const collected = await collectNodeFacts(runner, options({ asRoot: true }))
    expect(runner.calls.map(({ options: { asRoot } }) => asRoot)).toEqual([true, false])
    expect(collected.privilege).toEqual({ kind: 'account', reason: 'sudo: a password is required' })
    expect(collected.facts.cpu.count).toMatchObject({ value: 8 })
  })

  it('ends when it is aborted, with the reason of the signal', async () => {
    const abort = new AbortController()
    const reason = new Error('stopped by the operator')
    const collecting = collectNodeFacts(localRunner({ date: 'sleep 20' }), options({ signal: abort.signal }))
    abort.abort(reason)
    await expect(collecting).rejects.toBe(reason)
  })

  it('passes a bug on as what it is', async () => {
    await expect(collectNodeFacts(runnerOf(new TypeError('bug')), options())).rejects.toThrow(TypeError)
  })
})

describe('a node that does not answer to the end', () => {
  const half = report.slice(0, report.indexOf('processors') + 20)

  it.each<[string, ProgramResult, string]>([
    [
      'a deadline',
      { kind: 'killed', reason: 'deadline', stdout: half, stderr: '' },
      'the node did not answer within 30 s',
    ],
    [
      'too much output',
      { kind: 'killed', reason: 'output', stdout: half, stderr: '' },
      'the node printed more than 8 MiB',
    ],
    ['a signal', ended(half, null), 'sh on the node was ended by a signal'],
    [
      'an error',
      ended(half, 2, 'sh: out of memory'),
      'sh on the node was ended with exit code 2: sh: out of memory',
    ],
    ['a cut', ended(half), 'the answer of the node ends in the middle'],
  ])(
    'because of %s: what was read until then is read, the rest has the reason',
    async (_, answer, reason) => {
      const collected = await collectNodeFacts(runnerOf(answer), options())
      expect(collected.completeness).toEqual({ kind: 'partial', reason })
      expect(collected.facts.os.kernelRelease).toMatchObject({ kind: 'read', value: '5.15.0-139-generic' })
      expect(collected.facts.cpu.count).toEqual({ kind: 'unread', reason, source: 'nproc' })
      expect(collected.facts.disks).toMatchObject({ kind: 'unread', reason })
    },
  )

  it('at all has no facts, and the error of the runner is there', async () => {
    const error = new AppError({ code: 'SSH_LOST', title: 'The connection was lost.', detail: 'ECONNRESET', isTransient: true }) // prettier-ignore
    const collected = await collectNodeFacts(runnerOf(error), options())
    expect(collected.completeness).toEqual({
      kind: 'none',
      reason: 'The connection was lost. ECONNRESET',
      error: error.toData(),
    })
    expect(collected.facts.cpu.count).toMatchObject({
      kind: 'unread',
      reason: 'The connection was lost. ECONNRESET',
    })
  })

  it.each<[ProgramResult, RegExp]>([
    [{ kind: 'missing' }, /no program sh/u],
    [ended('This account is not available.\n', 1), /This account is not available/u],
    [ended('Welcome\n'), /ends in the middle/u],
  ])('because there is no shell has no facts: %j', async (answer, reason) => {
    const collected = await collectNodeFacts(runnerOf(answer), options())
    expect(collected.completeness).toMatchObject({
      kind: 'none',
      reason: expect.stringMatching(reason) as string,
    })
  })
})

describe('the raw output', () => {
  it('has no control characters and no secrets, and is bounded', async () => {
    const line = 'root=LABEL=COS_ACTIVE rd.iscsi.password=hunter2 quiet'
    const text = writeReport(mark, {
      'command-line': { parts: [{ kind: 'file', name: '/proc/cmdline', text: `${line}\n` }] },
      kernel: { text: `\u001b[31mred\u0007\u202e${'x'.repeat(600_000)}` },
    })
    const { raw, facts } = await collectNodeFacts(runnerOf(ended(text)), options())
    expect(raw).not.toContain('hunter2')
    expect(raw).toContain('rd.iscsi.password=…')
    expect(JSON.stringify(facts)).not.toContain('hunter2')
    expect(raw).toContain('\\u{1b}[31mred\\u{7}\\u{202e}')
    expect(raw).toMatch(/characters more$/u)
    expect(raw.length).toBeLessThan(530_000)
  })

  it('has no secrets either when it is cut in the middle of them', async () => {
    const text = `\n${mark} start\n\n${mark} begin command-line 1.0\n\n${mark} part file /proc/cmdline\na.password=hunt`
    const { raw } = await collectNodeFacts(runnerOf(ended(text)), options())
    expect(raw).not.toContain('hunt')
  })
})

it('no fact is read when nothing was answered', async () => {
  const { facts } = await collectNodeFacts(runnerOf(ended(`\n${mark} start\n`)), options())
  const unreadCount = (value: unknown): number =>
    typeof value !== 'object' || value === null
      ? 0
      : 'kind' in value && value.kind === 'unread'
        ? 1
        : Object.values(value).reduce((sum: number, one) => sum + unreadCount(one), 0)
  expect(unreadCount(facts)).toBeGreaterThan(sectionNames.length)
  expect(JSON.stringify(facts)).not.toContain('"kind":"read"')
})
