export type Word = string

export interface Redirection {
  stream: 'stdin' | 'stdout' | 'stderr'
  mode: 'read' | 'write' | 'append'
  path: string
}

export interface SimpleCommand {
  words: Word[]
  redirections: Redirection[]
  /** `2>&1`. */
  mergesStderr: boolean
}

export interface ListItem {
  /** What connects it to the item before it. */
  connector: ';' | '&&' | '||'
  pipeline: SimpleCommand[]
}

/** A command line that the lab's shell does not understand. */
export class CommandLineError extends Error {}

interface Token {
  kind: 'word' | 'operator'
  text: string
}

/**
 * The part of the POSIX shell's grammar that installers use over SSH: quoting, pipelines, lists, redirections.
 * Nothing is expanded except `~` and `$HOME`; no shell of the workstation is ever started.
 */
export function parseCommandLine(line: string, home: string): ListItem[] {
  const items: ListItem[] = []
  let command: SimpleCommand = { words: [], redirections: [], mergesStderr: false }
  let pipeline: SimpleCommand[] = []
  let connector: ListItem['connector'] = ';'
  const endCommand = (isRequired: boolean) => {
    if (command.words.length > 0) pipeline.push(command)
    else if (isRequired || command.redirections.length > 0)
      throw new CommandLineError('unexpected end of command')
    command = { words: [], redirections: [], mergesStderr: false }
  }
  const endPipeline = () => {
    endCommand(pipeline.length > 0)
    if (pipeline.length > 0) items.push({ connector, pipeline })
    pipeline = []
  }
  const tokens = tokenize(line, home)
  for (let index = 0; index < tokens.length; index += 1) {
    const token = tokens[index]
    if (token === undefined) break
    if (token.kind === 'word') {
      command.words.push(token.text)
      continue
    }
    switch (token.text) {
      case '|':
        endCommand(true)
        break
      case ';':
      case '&&':
      case '||':
        endPipeline()
        connector = token.text
        break
      case '2>&1':
        command.mergesStderr = true
        break
      default: {
        const target = tokens[index + 1]
        if (target?.kind !== 'word') throw new CommandLineError(`no file after ${token.text}`)
        index += 1
        const isStderr = token.text.startsWith('2')
        command.redirections.push({
          stream: token.text === '<' ? 'stdin' : isStderr ? 'stderr' : 'stdout',
          mode: token.text === '<' ? 'read' : token.text.endsWith('>>') ? 'append' : 'write',
          path: target.text,
        })
      }
    }
  }
  endPipeline()
  return items
}

const operators = ['2>&1', '2>>', '2>', '1>>', '1>', '&&', '||', '>>', '>', '<', '|', ';', '\n']

function tokenize(line: string, home: string): Token[] {
  const tokens: Token[] = []
  let word: string | null = null
  let index = 0
  const endWord = () => {
    if (word !== null) tokens.push({ kind: 'word', text: word })
    word = null
  }
  while (index < line.length) {
    const rest = line.slice(index)
    const character = line.charAt(index)
    const operator = operators.find((one) => rest.startsWith(one) && (!/^\d/.test(one) || word === null))
    if (operator !== undefined) {
      endWord()
      tokens.push({ kind: 'operator', text: operator === '\n' ? ';' : operator })
      index += operator.length
    } else if (/\s/.test(character)) {
      endWord()
      index += 1
    } else if (character === '#' && word === null) {
      const end = line.indexOf('\n', index)
      index = end === -1 ? line.length : end
    } else if (character === "'") {
      const end = line.indexOf("'", index + 1)
      if (end === -1) throw new CommandLineError('unterminated quoted string')
      word = (word ?? '') + line.slice(index + 1, end)
      index = end + 1
    } else if (character === '"') {
      word ??= ''
      index += 1
      for (;;) {
        const inner = line.charAt(index)
        if (inner === '') throw new CommandLineError('unterminated quoted string')
        if (inner === '"') break
        if (inner === '\\' && /["\\$`]/.test(line.charAt(index + 1))) {
          word += line.charAt(index + 1)
          index += 2
        } else if (line.startsWith('$HOME', index)) {
          word += home
          index += 5
        } else {
          word += inner
          index += 1
        }
      }
      index += 1
    } else if (character === '\\') {
      word = (word ?? '') + line.charAt(index + 1)
      index += 2
    } else if (rest.startsWith('$HOME')) {
      word = (word ?? '') + home
      index += 5
    } else if (character === '~' && word === null && /^~(\/|\s|$)/.test(rest)) {
      word = home
      index += 1
    } else if (character === '&' || character === '`' || rest.startsWith('$(')) {
      throw new CommandLineError(
        `the practice lab's shell does not know ${rest.startsWith('$(') ? '$(' : character}`,
      )
    } else {
      word = (word ?? '') + character
      index += 1
    }
  }
  endWord()
  return tokens
}
