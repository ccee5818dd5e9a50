import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createLocalRunner } from './local-runner.ts'
import { findProgram, programEnvironment, programFolders } from './program-environment.ts'
import type { RunOptions } from './program-runner.ts'

const node = process.execPath
const isPosix = process.platform !== 'win32'
let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'landfall-programs-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

const runner = createLocalRunner()
const bounds = (more: Partial<RunOptions> = {}): RunOptions => ({
  signal: new AbortController().signal,
  deadlineSeconds: 20,
  ...more,
})
/** Runs JavaScript in a Node of its own. */
const runScript = (script: string, more: Partial<RunOptions> = {}, ...args: string[]) =>
  runner.run(node, ['-e', script, '--', ...args], bounds(more))

/** A zombie that nobody asked for yet runs no more. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  if (process.platform !== 'linux') return true
  try {
    return !/^\d+ \(.*\) [ZX]/su.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

/** Process ids that a script wrote to a file, as soon as all are there. */
const pidsIn = (file: string, count: number) =>
  vi.waitFor(
    () => {
      const pids = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').map(Number) : []
      expect(pids).toHaveLength(count)
      return pids
    },
    { timeout: 15_000, interval: 10 },
  )

const noteOwnPid = `require('fs').appendFileSync(process.argv[1], process.pid + '\\n');`
const ignoreSignals = `for (const s of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(s, () => {});`
const hang = `setInterval(() => {}, 1000);`
const startGrandchild = (script: string) =>
  `require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(script)}, process.argv[1]], { stdio: 'inherit' });`

describe('a program that ends by itself', () => {
  it('is told with its exit code and all that it wrote', async () => {
    await expect(
      runScript(`process.stdout.write('out ü'); process.stderr.write('err'); process.exitCode = 3`),
    ).resolves.toEqual({ kind: 'ended', exitCode: 3, stdout: 'out ü', stderr: 'err' })
  })

  it('has no exit code when a signal ended it', async () => {
    await expect(runScript(`process.kill(process.pid, 'SIGKILL')`)).resolves.toMatchObject({
      kind: 'ended',
      exitCode: null,
    })
  })

  it('gets its arguments unchanged, whatever a shell would make of them', async () => {
    const args = ['$(id)', '; rm -rf x', "'", '"', '*', '', 'a b\nc', '--', '-v', '%PATH%', '\\']
    const result = await runScript(`process.stdout.write(JSON.stringify(process.argv.slice(1)))`, {}, ...args)
    expect(result).toMatchObject({ stdout: JSON.stringify(args) })
  })

  it('reads its input to the end', async () => {
    const input = 'x'.repeat(300_000)
    const result = await runScript(
      `let n = 0; process.stdin.on('data', (c) => { n += c.length }).on('end', () => console.log(n))`,
      { input },
    )
    expect(result).toMatchObject({ kind: 'ended', exitCode: 0, stdout: '300000\n' })
  })

  it('has an empty input when none is given', async () => {
    const result = await runScript(`process.stdin.on('data', () => {}).on('end', () => console.log('end'))`)
    expect(result).toMatchObject({ kind: 'ended', stdout: 'end\n' })
  })

  it('may end without reading its input', async () => {
    const result = await runScript(`process.exit(4)`, { input: 'x'.repeat(5_000_000) })
    expect(result).toMatchObject({ kind: 'ended', exitCode: 4 })
  })

  it('gets nothing of the environment but what programs need', async () => {
    const environment = {
      ...process.env,
      LANDFALL_SECRET_X: 'geheim',
      NMAP_ARGS: '--packet-trace',
      LANG: 'de_DE.UTF-8',
    }
    const result = await createLocalRunner({ environment }).run(
      node,
      ['-e', 'process.stdout.write(JSON.stringify(process.env))'],
      bounds(),
    )
    expect(result).toMatchObject({ kind: 'ended' })
    const seen = JSON.parse(result.kind === 'ended' ? result.stdout : '') as Record<string, string>
    expect(seen).toMatchObject({ LC_ALL: 'C' })
    expect(Object.keys(seen)).not.toEqual(expect.arrayContaining(['LANDFALL_SECRET_X']))
    expect(JSON.stringify(seen)).not.toMatch(/geheim|packet-trace|de_DE/u)
  })
})

describe('a program that cannot be started', () => {
  it('is missing when there is none of that name', async () => {
    await expect(runner.run('landfall-no-such-program', [], bounds())).resolves.toEqual({ kind: 'missing' })
    await expect(runner.run(join(folder, 'nothing'), [], bounds())).resolves.toEqual({ kind: 'missing' })
  })

  it.runIf(isPosix)('is not permitted when the file may not be run', async () => {
    const file = join(folder, 'tool')
    writeFileSync(file, '#!/bin/sh\n', { mode: 0o644 })
    const result = await runner.run(file, [], bounds())
    expect(result).toMatchObject({ kind: 'not-permitted' })
    expect(result).toHaveProperty('reason', expect.stringContaining('EACCES'))
  })

  it('is told when an argument cannot be passed at all', async () => {
    await expect(runner.run(node, ['a\0b'], bounds())).resolves.toMatchObject({ kind: 'not-permitted' })
  })

  it.runIf(isPosix)('is told when there are no file descriptors left, and nothing crashes', () => {
    const script = join(folder, 'no-descriptors.mjs')
    writeFileSync(
      script,
      `import { openSync, closeSync } from 'node:fs'
       import { createLocalRunner } from ${JSON.stringify(new URL('local-runner.ts', import.meta.url).href)}
       const runner = createLocalRunner()
       const open = []
       try { for (;;) open.push(openSync('/dev/null')) } catch {}
       const result = await runner.run('true', [], { signal: new AbortController().signal, deadlineSeconds: 5 })
       for (const fd of open) closeSync(fd)
       console.log(JSON.stringify(result))`,
    )
    const { stdout } = spawnSync('sh', ['-c', 'ulimit -n 80; exec "$0" "$1"', node, script], {
      encoding: 'utf8',
    })
    expect(JSON.parse(stdout)).toMatchObject({ kind: 'not-permitted' })
    expect(stdout).toContain('EMFILE')
  })
})

describe('a program that does not end', () => {
  it('is killed at its deadline, also when it ignores signals, and what it wrote is kept', async () => {
    const result = await runScript(
      `${ignoreSignals} process.stdout.write('begun'); process.stderr.write('why'); ${hang}`,
      { deadlineSeconds: 3 },
    )
    expect(result).toEqual({ kind: 'killed', reason: 'deadline', stdout: 'begun', stderr: 'why' })
  })

  it('is killed when it writes too much, and no more than that is kept', async () => {
    const result = await runScript(`setInterval(() => process.stdout.write('x'.repeat(65536)), 0)`, {
      maxOutputBytes: 100_000,
    })
    expect(result).toMatchObject({ kind: 'killed', reason: 'output' })
    expect(result.kind === 'killed' ? result.stdout.length : 0).toBe(100_000)
  })

  it('counts both streams together', async () => {
    const result = await runScript(
      `process.stdout.write('x'.repeat(60)); process.stderr.write('y'.repeat(60)); ${hang}`,
      { maxOutputBytes: 100 },
    )
    expect(result).toMatchObject({ kind: 'killed', reason: 'output' })
    const total = result.kind === 'killed' ? result.stdout.length + result.stderr.length : 0
    expect(total).toBe(100)
  })
})

describe('an abort', () => {
  it('before the start rejects with its reason and starts nothing', async () => {
    const file = join(folder, 'started')
    const reason = new Error('stopped by the operator')
    await expect(runScript(noteOwnPid, { signal: AbortSignal.abort(reason) }, file)).rejects.toBe(reason)
    expect(existsSync(file)).toBe(false)
  })

  it.runIf(isPosix)('leaves neither the program nor what it started behind', async () => {
    const file = join(folder, 'pids')
    const stop = new AbortController()
    const reason = new Error('stopped by the operator')
    const grandchild = `${noteOwnPid} ${ignoreSignals} ${hang}`
    const running = runScript(
      `${ignoreSignals} ${startGrandchild(grandchild)} ${noteOwnPid} ${hang}`,
      { signal: stop.signal },
      file,
    )
    const pids = await pidsIn(file, 2)
    expect(pids.every(isRunning)).toBe(true)
    stop.abort(reason)
    await expect(running).rejects.toBe(reason)
    await vi.waitFor(() => {
      expect(pids.filter(isRunning)).toEqual([])
    })
  })

  it('is over when the program is gone', async () => {
    const file = join(folder, 'pids')
    const stop = new AbortController()
    const running = runScript(`${noteOwnPid} ${hang}`, { signal: stop.signal }, file)
    const [pid = 0] = await pidsIn(file, 1)
    stop.abort(new Error('enough'))
    await expect(running).rejects.toThrow('enough')
    expect(isRunning(pid)).toBe(false)
  })
})

describe('what a program started', () => {
  it.runIf(isPosix)('ends with it, also when the program ends by itself', async () => {
    const file = join(folder, 'pids')
    const result = await runScript(
      `${startGrandchild(`${noteOwnPid} ${hang}`)}
       const fs = require('fs');
       const wait = setInterval(() => { if (fs.existsSync(process.argv[1])) process.exit(0) }, 5)`,
      {},
      file,
    )
    expect(result).toMatchObject({ kind: 'ended', exitCode: 0 })
    const pids = await pidsIn(file, 1)
    await vi.waitFor(() => {
      expect(pids.filter(isRunning)).toEqual([])
    })
  })

  it.runIf(isPosix)('does not hold the result back when it left the group and keeps the pipes', async () => {
    const file = join(folder, 'pids')
    const daemon = `${noteOwnPid} ${hang}`
    const result = await runScript(
      `require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(daemon)}, process.argv[1]],
         { stdio: 'inherit', detached: true }).unref();
       console.log('done')
       const wait = setInterval(() => { if (require('fs').existsSync(process.argv[1])) process.exit(0) }, 5)`,
      {},
      file,
    )
    expect(result).toMatchObject({ kind: 'ended', exitCode: 0, stdout: 'done\n' })
    const [pid = 0] = await pidsIn(file, 1)
    process.kill(pid, 'SIGKILL')
  })
})

describe('the end of Landfall', () => {
  const landfall = (body: string) => `
    import { createLocalRunner } from ${JSON.stringify(new URL('local-runner.ts', import.meta.url).href)}
    const runner = createLocalRunner()
    const bounds = { signal: new AbortController().signal, deadlineSeconds: 60 }
    ${body}`

  it.runIf(isPosix)('is the end of all programs that it runs', async () => {
    const file = join(folder, 'pids')
    const script = join(folder, 'landfall.mjs')
    const child = JSON.stringify(`${noteOwnPid} ${ignoreSignals} ${hang}`)
    writeFileSync(
      script,
      landfall(`
        import { existsSync, readFileSync } from 'node:fs'
        const file = ${JSON.stringify(file)}
        for (let i = 0; i < 12; i++) void runner.run(process.execPath, ['-e', ${child}, file], bounds)
        setInterval(() => {
          if (existsSync(file) && readFileSync(file, 'utf8').trim().split('\\n').length === 12) process.exit(7)
        }, 5)`),
    )
    const { status, stderr } = spawnSync(node, [script], { encoding: 'utf8' })
    expect(status).toBe(7)
    expect(stderr).not.toContain('MaxListenersExceeded')
    const pids = await pidsIn(file, 12)
    await vi.waitFor(() => {
      expect(pids.filter(isRunning)).toEqual([])
    })
  })

  it('is not held back by anything that a finished program leaves: no timer, no listener', () => {
    const script = join(folder, 'landfall.mjs')
    writeFileSync(
      script,
      landfall(`
        const before = process.listenerCount('exit')
        await runner.run(process.execPath, ['-e', ''], bounds)
        if (process.listenerCount('exit') !== before) process.exitCode = 9`),
    )
    const begin = performance.now()
    expect(spawnSync(node, [script]).status).toBe(0)
    expect(performance.now() - begin).toBeLessThan(20_000)
  })
})

describe.runIf(isPosix)('a program that needs root, for an account that is not', () => {
  /** A `sudo` of the test, first in the path. */
  const withSudo = (script: string) => {
    const file = join(folder, 'sudo')
    writeFileSync(file, `#!/bin/sh\n${script}\n`)
    chmodSync(file, 0o755)
    return createLocalRunner({ environment: { ...process.env, PATH: folder }, isRoot: false })
  }
  const asRoot = bounds({ asRoot: true })

  it('is run through sudo, which must not ask', async () => {
    const result = await withSudo('printf "%s\\n" "$*"').run('nmap', ['-sn', '10.0.0.1'], asRoot)
    expect(result).toMatchObject({ kind: 'ended', exitCode: 0, stdout: '-n -- nmap -sn 10.0.0.1\n' })
  })

  it('keeps its own failure', async () => {
    const result = await withSudo('echo "arping: interface: no such device" >&2; exit 1').run(
      'arping',
      [],
      asRoot,
    )
    expect(result).toMatchObject({ kind: 'ended', exitCode: 1 })
  })

  it.each([
    'sudo: a password is required',
    'sudo: a terminal is required to read the password; either use the -S option',
    'Sorry, user op is not allowed to execute /usr/bin/nmap as root on ws1.',
    'sudo: The "no new privileges" flag is set, which prevents sudo from running as root.',
  ])('is not permitted when sudo says: %s', async (line) => {
    const result = await withSudo(`echo '${line}' >&2; exit 1`).run('nmap', [], asRoot)
    expect(result).toEqual({
      kind: 'not-permitted',
      reason: `sudo does not allow it without a question: ${line}`,
    })
  })

  it('is missing when sudo does not find it', async () => {
    const result = await withSudo('echo "sudo: nmap: command not found" >&2; exit 1').run('nmap', [], asRoot)
    expect(result).toEqual({ kind: 'missing' })
  })

  it('may fail on a machine that does not know its own name', async () => {
    const script =
      'echo "sudo: unable to resolve host ws1: Name or service not known" >&2; echo failed >&2; exit 1'
    await expect(withSudo(script).run('nmap', [], asRoot)).resolves.toMatchObject({
      kind: 'ended',
      exitCode: 1,
    })
  })

  it.skipIf(findProgram('sudo') !== undefined)('is not permitted without sudo', async () => {
    await expect(createLocalRunner({ isRoot: false }).run('nmap', [], asRoot)).resolves.toEqual({
      kind: 'not-permitted',
      reason: 'Landfall does not run as root, and there is no sudo',
    })
  })

  it('needs no sudo for root', async () => {
    const environment = { ...process.env, PATH: folder }
    const result = await createLocalRunner({ environment, isRoot: true }).run(node, ['-e', ''], asRoot)
    expect(result).toMatchObject({ kind: 'ended', exitCode: 0 })
  })
})

describe('where programs are looked for', () => {
  it.runIf(isPosix)('PATH comes first, and folders of administration programs are added', () => {
    const folders = programFolders({ PATH: '/opt/x:/usr/bin' }, 'linux')
    expect(folders.slice(0, 2)).toEqual(['/opt/x', '/usr/bin'])
    expect(folders).toEqual(expect.arrayContaining(['/usr/sbin', '/sbin']))
    expect(new Set(folders).size).toBe(folders.length)
  })

  it.runIf(isPosix)('a folder that depends on where Landfall was started is left out', () => {
    expect(programFolders({ PATH: '.::bin:/usr/bin' }, 'linux')).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/^(?!\/)/u)]),
    )
  })

  it('an application that was started from the desktop finds Homebrew', () => {
    expect(programFolders({}, 'darwin')).toContain('/opt/homebrew/bin')
  })

  it.runIf(isPosix)('finds files that may be run only', () => {
    writeFileSync(join(folder, 'tool'), '')
    expect(findProgram('tool', [folder])).toBeUndefined()
    chmodSync(join(folder, 'tool'), 0o755)
    expect(findProgram('tool', [folder])).toBe(join(folder, 'tool'))
    expect(findProgram('..', [folder])).toBeUndefined()
  })

  it('an environment without anything still has a PATH', () => {
    expect(programEnvironment({}, 'linux')).toMatchObject({
      LC_ALL: 'C',
      PATH: expect.stringContaining('/usr/sbin') as string,
    })
  })
})
