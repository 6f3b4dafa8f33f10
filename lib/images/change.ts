/** Changing an image while others may be changing it too. */
import { DependencyConflict, EtagConflict, ImageNotFound } from '../db/driver';
import { ApiError } from '../errors';
import type { Image } from './image';
import type { Images } from './images';

/** What says that somebody else was faster. */
const CONFLICTS = [EtagConflict, ImageNotFound, DependencyConflict];

function isConflict(err: unknown): boolean {
    return CONFLICTS.some((conflict) => err instanceof conflict);
}

/** How often a change is tried against an image that other processes keep changing. */
const ATTEMPTS = 50;

/** The image to change, as whoever changes it may see it. */
export interface Subject {
    readonly uuid: string;
    /** The version at hand, if there is one. */
    readonly known?: Image;
    /** The newest version; throws what forbids the change by now. */
    readonly reload: () => Promise<Image>;
}

/**
 * Works on the newest version of an image. When somebody else changed or deleted what the work was about, the image is
 * loaded, judged and worked on again.
 *
 * @throws ApiError ServiceUnavailableError if others keep being faster
 */
async function retried<T>(subject: Subject, work: (image: Image) => Promise<T>): Promise<T> {
    let image = subject.known ?? (await subject.reload());
    for (let attempt = 1; ; attempt++) {
        try {
            return await work(image);
        } catch (err) {
            if (!isConflict(err)) {
                throw err;
            }
            if (attempt === ATTEMPTS) {
                throw new ApiError(
                    'ServiceUnavailableError',
                    `Image ${subject.uuid} is being changed by too many requests at once; try again.`,
                    { cause: err },
                );
            }
            image = await subject.reload();
        }
    }
}

/**
 * Changes an image: in turn with the others of this process that change it, and again on the newest version when
 * another process was faster, so that no update is lost and no condition is judged on an old version.
 *
 * @param change gives the image as written; it throws what forbids the change
 * @throws ApiError ServiceUnavailableError if others keep being faster
 */
export async function changeImage(
    images: Images,
    { known, ...subject }: Subject,
    change: (image: Image) => Promise<Image>,
): Promise<Image> {
    return images.turns.take(subject.uuid, async (waited) =>
        retried(waited || !known ? subject : { ...subject, known }, change),
    );
}

/**
 * Makes something from an image, which may take long and hinders nobody who changes the image. Should somebody have
 * done so, it is made again from the newest version, now in turn with them.
 *
 * @param work gives what was made; it throws what forbids it, or a conflict if the image is another by now
 * @throws ApiError ServiceUnavailableError if others keep being faster
 */
export async function makeFrom<T>(
    images: Images,
    { known, ...subject }: Subject,
    work: (image: Image) => Promise<T>,
): Promise<T> {
    try {
        return await work(known ?? (await subject.reload()));
    } catch (err) {
        if (!isConflict(err)) {
            throw err;
        }
        return images.turns.take(subject.uuid, () => retried(subject, work));
    }
}
