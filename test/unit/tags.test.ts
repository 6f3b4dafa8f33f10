import assert from 'node:assert/strict';
import { searchTags, tagsFromSearch } from '../../lib/images/tags';

describe('tags (manifest.md §3)', () => {
    it('are searched as key=value', () => {
        assert.deepEqual(searchTags({ role: 'db', size: 5, fast: true, slow: false }), [
            'role=db',
            'size=5',
            'fast=true',
            'slow=false',
        ]);
    });

    it('are searched by key only, if the value is long or structured', () => {
        const tags = { fits: 'x'.repeat(100), long: 'x'.repeat(101), object: {}, array: ['x'], none: null };
        assert.deepEqual(searchTags(tags), [
            `fits=${'x'.repeat(100)}`,
            'long=',
            'object=',
            'array=',
            'none=',
        ]);
    });

    it('that are no object have no search form', () => {
        for (const tags of [null, undefined, 'a=b', 5, ['a=b']]) {
            assert.deepEqual(searchTags(tags), []);
        }
    });

    it('are rebuilt by splitting at the first "="', () => {
        assert.deepEqual(tagsFromSearch(['a=b', 'c=d=e', 'f=', '=g']), { a: 'b', c: 'd=e', f: '', '': 'g' });
    });

    it('are rebuilt from any old record', () => {
        assert.deepEqual(tagsFromSearch(['bare', 5, null, 'a=b']), { bare: '', a: 'b' });
        assert.equal(JSON.stringify(tagsFromSearch(['__proto__=x'])), '{"__proto__":"x"}');
    });
});
