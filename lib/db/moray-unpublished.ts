/**
 * Knows the images that are not published though they are activated: usually none.
 *
 * Ascending lists begin with unpublished images, and Moray has no index that leads to rows without a `published_at`. The
 * unactivated ones are found by their `activated`. For the others all rows are looked through from time to time; those
 * written since are found by their `_mtime`, which every writer sets. See docs/decisions/0025-moray-bucket.md.
 */
import type { Session } from './moray-client/types';
import { IMAGES_TABLE } from './moray-layout';
import type { UnpublishedRows } from './moray-query';

/** How old a look may be before it is taken anew, in ms. */
const KEPT = 5 * 60_000;

/** By how much clocks of writers may differ, and transactions last, together in ms. */
const MARGIN = 60_000;

/** With more than these, lists soon meet them without help. */
const MOST = 1000;

const LOOK = `SELECT _key FROM ${IMAGES_TABLE} WHERE published_at IS NULL AND activated IS NOT FALSE LIMIT ${MOST + 1}`;

export class Unpublished {
    #known: { readonly rows: UnpublishedRows | undefined; readonly until: number } | undefined;
    #isLooking = false;

    constructor(private readonly now: () => number) {}

    /** What is known of the table; undefined if nothing is yet, or it would not help. Looks again when that got old. */
    rows(session: Session): UnpublishedRows | undefined {
        const isOld = !this.#known || this.now() > this.#known.until;
        if (isOld && !this.#isLooking) {
            this.#isLooking = true;
            void this.#look(session).finally(() => {
                this.#isLooking = false;
            });
        }
        return this.#known?.rows;
    }

    async #look(session: Session): Promise<void> {
        const begun = this.now();
        // A failure is one that lists meet as well, and tell of.
        const found = await session.query({ text: LOOK }).catch(() => undefined);
        if (found) {
            const keys = found.rows.map(({ _key }) => String(_key));
            this.#known = {
                rows: keys.length > MOST ? undefined : { before: begun - MARGIN, keys },
                until: begun + KEPT,
            };
        }
    }
}
