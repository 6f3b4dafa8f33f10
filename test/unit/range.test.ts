import assert from 'node:assert/strict';
import { requestedRange } from '../../lib/api/range';

describe('requestedRange', () => {
    const file = { size: 1000, etag: 'e', lastModified: undefined };

    it('passes over a header of many blanks as fast as over any other', () => {
        const blanks = ' '.repeat(100_000);
        for (const range of [`bytes=${blanks}x`, `bytes=1-${blanks}x`, `bytes=${blanks}1${blanks}x-`]) {
            const started = performance.now();
            assert.equal(requestedRange({ range }, file), undefined);
            assert.ok(performance.now() - started < 500, 'it is judged in linear time');
        }
    });

    it('takes blanks around the positions', () => {
        assert.deepEqual(requestedRange({ range: 'bytes= 1 - 2 ' }, file), { start: 1, end: 2 });
        assert.equal(requestedRange({ range: 'bytes=1 0-20' }, file), undefined);
    });
});
