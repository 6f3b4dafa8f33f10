import assert from 'node:assert/strict';
import { morayEtag } from '../../lib/db/etag';

describe('the etag of a record (moray.md §2.3)', () => {
    for (const [json, etag] of [
        ['{}', 'A3A6BF43'],
        ['{"a":1}', '561BACAF'],
        ['{"a":"é"}', '8696A8FD'],
        ['{"a":"日"}', '8F8C5199'],
    ] as const) {
        it(`of ${json} is ${etag}`, () => assert.equal(morayEtag(json), etag));
    }

    it('always has eight characters', () => {
        const etags = Array.from({ length: 500 }, (_, n) => morayEtag(`{"n":${n}}`));
        assert.ok(etags.every((etag) => /^[0-9A-F]{8}$/.test(etag)));
        assert.ok(etags.some((etag) => etag.startsWith('0')));
    });
});
