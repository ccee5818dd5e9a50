import { describe, expect, it } from 'vitest'
import { createManualClock, type ManualClock } from '../../engine/testing/manual-clock.ts'
import type { ProgramResult } from '../programs/program-runner.ts'
import { BorrowedAddress, proofLabel } from './borrowed-address.ts'

const never = new AbortController().signal
const address = '10.9.0.9'

/** An address on a node that answers each command with what `answer` says. */
function borrowedOn(answer: (command: string) => ProgramResult): {
  borrowed: BorrowedAddress
  commands: string[]
  clock: ManualClock
  delay: { milliseconds: number }
} {
  const commands: string[] = []
  const clock = createManualClock()
  clock.runFree()
  const delay = { milliseconds: 0 }
  const run = async (program: string, args: readonly string[]) => {
    const command = [program, ...args].join(' ')
    commands.push(command)
    if (command.includes(' replace ')) await clock.sleep(delay.milliseconds)
    return answer(command)
  }
  const holder = {
    ...{ name: 'n1', interface: 'eth0', mac: '02:00:00:00:00:01', address: '10.9.0.2' },
    runner: { place: 'n1', platform: 'linux' as const, run },
  }
  return {
    borrowed: new BorrowedAddress({ holder, address, lifetimeSeconds: 30, clock }),
    commands,
    clock,
    delay,
  }
}

const ended = (exitCode: number, stdout = '', stderr = ''): ProgramResult => ({
  kind: 'ended',
  exitCode,
  stdout,
  stderr,
})
const killed: ProgramResult = { kind: 'killed', reason: 'deadline', stdout: '', stderr: '' }
const shown = (...locals: readonly string[]) =>
  ended(
    0,
    JSON.stringify([
      {
        ifname: 'eth0',
        addr_info: locals.map((local) => ({ family: 'inet', local, prefixlen: 32, valid_life_time: 30 })),
      },
    ]),
  )

describe('a borrowed address', () => {
  it('is not called gone when the command that gives it may still take effect', async () => {
    const { borrowed } = borrowedOn((command) => {
      if (command.includes(' add ')) return killed
      return command.includes(' del ') ? ended(2, '', 'Error: ipv4: Address not found.') : shown()
    })
    expect(await borrowed.raise(never)).toMatchObject({ kind: 'refused' })
    expect(await borrowed.remove()).toMatchObject({
      kind: 'by-lifetime',
      why: 'a command to n1 did not end and may still take effect',
    })
  })

  it('is not called gone when the node cannot be read afterwards', async () => {
    let isReadable = true
    const { borrowed } = borrowedOn((command) => {
      if (command.includes(' del ')) isReadable = false
      if (!command.includes('show')) return ended(0)
      return isReadable ? shown(address) : killed
    })
    expect(await borrowed.raise(never)).toEqual({ kind: 'raised' })
    expect(await borrowed.remove()).toMatchObject({ kind: 'by-lifetime' })
  })

  it('is not called gone when ip says that it deleted it and it is still there', async () => {
    const { borrowed, commands } = borrowedOn((command) =>
      command.includes('show') ? shown(address) : ended(0),
    )
    await borrowed.raise(never)
    expect(await borrowed.remove()).toMatchObject({ kind: 'by-lifetime', why: 'n1 still has it' })
    expect(commands.filter((command) => command.includes(' del '))).toHaveLength(3)
  })

  it('is left alone when the kernel refused to give it: then it is somebody else’s', async () => {
    const { borrowed, commands } = borrowedOn((command) =>
      command.includes(' add ') ? ended(2, '', 'Error: ipv4: Address already assigned.') : shown(address),
    )
    expect(await borrowed.raise(never)).toMatchObject({ kind: 'refused' })
    expect(await borrowed.remove()).toEqual({ kind: 'confirmed', at: undefined })
    expect(commands.some((command) => command.includes(' del '))).toBe(false)
  })

  it('is gone when ip says that it was not there any more', async () => {
    const { borrowed } = borrowedOn((command) => {
      if (command.includes(' del ')) return ended(2, '', 'RTNETLINK answers: Cannot assign requested address')
      return command.includes('show') ? shown() : ended(0)
    })
    expect(await borrowed.raise(never)).toMatchObject({ kind: 'refused' })
    expect(await borrowed.remove()).toMatchObject({ kind: 'confirmed' })
  })

  it.each([
    ['in time', 1000, undefined],
    ['after its lifetime', 40_000, expect.stringContaining('it may have been away in between')],
  ])('that is renewed %s', async (_, milliseconds, expected: unknown) => {
    const { borrowed, clock, commands, delay } = borrowedOn((command) =>
      command.includes('show') ? shown(address) : ended(0),
    )
    await borrowed.raise(never)
    delay.milliseconds = milliseconds
    const renewals = () => commands.filter((command) => command.includes(' replace ')).length
    while (renewals() < 2) await clock.sleep(1000)
    delay.milliseconds = 0
    expect(await borrowed.whyNotHeld(never)).toEqual(expected)
    await borrowed.remove()
  })

  it('is not called held while its renewal is under way too late', async () => {
    const { borrowed, clock, delay } = borrowedOn((command) =>
      command.includes('show') ? shown(address) : ended(0),
    )
    await borrowed.raise(never)
    delay.milliseconds = 60_000
    await clock.sleep(31_000)
    expect(await borrowed.whyNotHeld(never)).toContain('may have been away')
    await borrowed.remove()
  })

  it('has nothing to remove when it was never raised', async () => {
    const { borrowed, commands } = borrowedOn(() => ended(0))
    expect(await borrowed.remove()).toEqual({ kind: 'confirmed', at: undefined })
    expect(commands).toEqual([])
  })
})

describe('the label of a proof', () => {
  it('fits behind names of up to twelve characters', () => {
    expect(proofLabel('eth0')).toBe('eth0:lf')
    expect(proofLabel('enp94s0f0np0')).toBe('enp94s0f0np0:lf')
    expect(proofLabel('enp129s0f1np1')).toBeUndefined()
  })
})
