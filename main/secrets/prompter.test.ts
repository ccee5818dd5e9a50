import { PassThrough, Writable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { createTerminalPrompter, type TerminalInput } from './prompter.ts'

function terminal() {
  const modes: boolean[] = []
  const input = Object.assign(new PassThrough(), {
    isTTY: true,
    isRaw: false,
    setRawMode(isRaw: boolean) {
      modes.push(isRaw)
    },
  }) satisfies TerminalInput
  let shown = ''
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      shown += chunk.toString()
      done()
    },
  })
  return { input, modes, shown: () => shown, prompter: createTerminalPrompter(input, output) }
}

describe('asking for a secret', () => {
  it('shows the question but never the answer, and leaves the terminal as it was', async () => {
    const { input, modes, shown, prompter } = terminal()
    const answer = prompter.askHidden('Password of the nodes')
    input.write('hunter2!\r')
    expect(await answer).toBe('hunter2!')
    expect(shown()).toBe('Password of the nodes: \n')
    expect(modes).toEqual([true, false])
  })

  it.each([
    [
      'in pieces, a character cut in two',
      [Buffer.from('gr'), Buffer.from([0xc3]), Buffer.from([0xbc, 0x6e, 0x0d])],
      'grün',
    ],
    ['with backspaces', ['abcx\u007fd\b\be\n'], 'abe'],
    ['with the line cleared', ['wrong\u0015right\r'], 'right'],
    ['with arrow keys', ['ab\u001b[Dc\u001bOP\r'], 'abc'],
    ['pasted', ['\u001b[200~pasted\u001b[201~\r'], 'pasted'],
    ['with an emoji taken back', ['a😀\u007fb\r'], 'ab'],
    ['ended by Ctrl+D', ['done\u0004'], 'done'],
  ])('understands an answer %s', async (_name, pieces, expected) => {
    const { input, prompter } = terminal()
    const answer = prompter.askHidden('?')
    for (const piece of pieces) input.write(piece)
    expect(await answer).toBe(expected)
  })

  it.each([
    ['Ctrl+C', '\u0003'],
    ['Ctrl+D on an empty line', '\u0004'],
  ])('ends with %s, and leaves the terminal as it was', async (_name, key) => {
    const { input, modes, prompter } = terminal()
    const answer = prompter.askHidden('?')
    input.write(key)
    await expect(answer).rejects.toMatchObject({ code: 'STOPPED_BY_OPERATOR' })
    expect(modes).toEqual([true, false])
  })

  it('ends when the terminal goes away', async () => {
    const { input, prompter } = terminal()
    const answer = prompter.askHidden('?')
    input.end()
    await expect(answer).rejects.toMatchObject({ code: 'STOPPED_BY_OPERATOR' })
  })

  it('can ask a second question after the first', async () => {
    const { input, prompter } = terminal()
    const first = prompter.askHidden('1')
    input.write('one\r')
    expect(await first).toBe('one')
    const second = prompter.askHidden('2')
    input.write('two\r')
    expect(await second).toBe('two')
  })

  it('knows that nobody can answer on a pipe', () => {
    expect(createTerminalPrompter(new PassThrough(), new PassThrough()).isInteractive).toBe(false)
  })
})
