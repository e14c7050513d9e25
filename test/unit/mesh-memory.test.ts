/** Alone in its process, so that nothing else is collected meanwhile. */
import t from 'tap'
import { bytesPerKnownPeer } from '../../bench/gossip/memory.js'

t.test('a known peer costs at most 2 KB of memory', (t) => {
  const each = bytesPerKnownPeer(500)
  t.ok(each > 500, `${each} bytes: less than what is certainly kept`)
  t.ok(each <= 2_048, `${each} bytes`)
  t.end()
})
