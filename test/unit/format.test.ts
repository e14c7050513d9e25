import t from 'tap'
import { bar, bytes, duration, measured, table } from '#src/cli/format.js'

t.test('bytes are shown in the largest unit below them', (t) => {
  t.equal(bytes(0), '0 B')
  t.equal(bytes(1023), '1023 B')
  t.equal(bytes(1536), '1.50 KiB')
  t.equal(bytes(2 ** 53), '8.00 PiB')
  t.equal(bytes(2 ** 63), '8192.00 PiB')
  t.end()
})

t.test('a duration is shown in its two largest units', (t) => {
  t.equal(duration(999), '0 s')
  t.equal(duration(61_000), '1 min 1 s')
  t.equal(duration(90_061_000), '1 d 1 h')
  t.end()
})

t.test('what is unmeasured is a dash', (t) => {
  t.equal(measured(null, 'ms'), '-')
  t.equal(measured(1.25, 'ms', 2), '1.25 ms')
  t.end()
})

t.test('the columns of a table line up', (t) => {
  t.equal(table(['a', 'bb'], [['long', 'x']]), 'a     bb\nlong  x')
  t.end()
})

t.test('a bar is filled in proportion, to an eighth of a column', (t) => {
  t.equal(bar(0, 0, 4), '    ')
  t.equal(bar(5, 10, 4), '██  ')
  t.equal(bar(1, 32, 4), '▏   ')
  t.equal(bar(99, 10, 4), '████')
  t.end()
})
