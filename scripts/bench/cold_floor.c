/* The least that a scan of files which are not in memory must do, with so many threads.
 *
 *     cc -O2 -pthread cold_floor.c -o cold_floor && ./cold_floor /tmp/coco118k 16
 *
 * Lists the folders of images and labels, and reads every label and the ends of its image: the first kilobyte and the
 * last 32 bytes, as `sanitize scan` does. Files are taken in the order of their names, which is the order in which
 * make_dataset.py wrote them: on ext4 this is quicker than the order in which the folder gives them. Nothing is parsed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LABEL_BYTES = 1 << 20, FIRST = 1024, LAST = 32, MOST_THREADS = 256, PAIRS_AT_ONCE = 8 };

struct pair {
    const char *split;
    char *stem;
};

static const char *root;
static struct pair *pairs;
static long n_pairs;
static atomic_long next_pair, n_bytes;

static int open_file(const char *kind, const struct pair *pair, const char *extension) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s/%s/%s%s", root, kind, pair->split, pair->stem, extension);
    int file = open(path, O_RDONLY);
    if (file < 0) {
        perror(path);
        exit(1);
    }
    return file;
}

static void *read_pairs(void *buffer) {
    long start;
    while ((start = atomic_fetch_add(&next_pair, PAIRS_AT_ONCE)) < n_pairs) {
        long stop = start + PAIRS_AT_ONCE < n_pairs ? start + PAIRS_AT_ONCE : n_pairs, bytes = 0;
        for (long i = start; i < stop; i++) {
            int label = open_file("labels", &pairs[i], ".txt");
            bytes += read(label, buffer, LABEL_BYTES);
            close(label);
            int image = open_file("images", &pairs[i], ".jpg");
            bytes += read(image, buffer, FIRST);
            lseek(image, -LAST, SEEK_END);
            bytes += read(image, buffer, LAST);
            close(image);
        }
        atomic_fetch_add(&n_bytes, bytes);
    }
    return NULL;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct pair *)a)->stem, ((const struct pair *)b)->stem);
}

/* Add the images of a split; the names of its labels are only listed. */
static void list_split(const char *split) {
    char path[4096];
    long first = n_pairs;
    struct dirent *entry;
    snprintf(path, sizeof path, "%s/labels/%s", root, split);
    DIR *folder = opendir(path);
    while (folder && readdir(folder)) continue;
    if (folder) closedir(folder);
    snprintf(path, sizeof path, "%s/images/%s", root, split);
    folder = opendir(path);
    if (!folder) {
        perror(path);
        exit(1);
    }
    while ((entry = readdir(folder))) {
        char *dot = strrchr(entry->d_name, '.');
        if (!dot || strcmp(dot, ".jpg")) continue;
        *dot = 0;
        if (n_pairs % 4096 == 0) pairs = realloc(pairs, (n_pairs + 4096) * sizeof *pairs);
        pairs[n_pairs++] = (struct pair){split, strdup(entry->d_name)};
    }
    closedir(folder);
    qsort(pairs + first, n_pairs - first, sizeof *pairs, by_name);
}

int main(int argc, char **argv) {
    int n_threads = argc == 3 ? atoi(argv[2]) : 0;
    pthread_t threads[MOST_THREADS];
    if (n_threads < 1 || n_threads > MOST_THREADS) {
        fprintf(stderr, "usage: cold_floor DATASET THREADS\n");
        return 2;
    }
    root = argv[1];
    list_split("train");
    list_split("val");
    for (int i = 0; i < n_threads; i++) pthread_create(&threads[i], NULL, read_pairs, malloc(LABEL_BYTES));
    for (int i = 0; i < n_threads; i++) pthread_join(threads[i], NULL);
    printf("%ld pairs, %ld bytes\n", n_pairs, n_bytes);
    return 0;
}
