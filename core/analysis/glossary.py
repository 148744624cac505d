"""The field's terms as the pages use them, each in plain English, some with a formula."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """A term.

    Attributes:
        meaning: in one or two sentences, as plain text; a term of the field in it is an entry itself.
        formula: in LaTeX; empty where words say it all.
    """

    meaning: str
    formula: str = ""


GLOSSARY: dict[str, Term] = {
    # Labels and how often they come.
    "head": Term("The group of the most frequent labels, which have more train documents than its border."),
    "medium": Term("The group of labels between head and tail."),
    "tail": Term("The group of the rarest labels, which have no more train documents than its border."),
    "no train document": Term(
        "The group of labels that no document of the train part has. A run has nothing to learn them from, and they "
        "are no part of the tail."
    ),
    "long tail": Term("A few labels have most of the documents, and most labels have a few."),
    "assignment": Term("A pair of a document and one of its labels."),
    "cardinality": Term("The mean number of labels of a document."),
    "density": Term("Labels per document divided by the number of labels."),
    "IRLbl": Term(
        "The imbalance ratio of a label: how many documents the most frequent label has for one of this label's.",
        r"\mathrm{IRLbl}_i=\frac{\max_j n_j}{n_i}",
    ),
    "MaxIR": Term("The largest IRLbl: that of the rarest label that occurs.", r"\max_i\,\mathrm{IRLbl}_i"),
    "MeanIR": Term(
        "The mean of IRLbl over the labels that occur: 1 where all are equally frequent, high where many are rare.",
        r"\mathrm{MeanIR}=\frac1L\sum_i\frac{\max_j n_j}{n_i}",
    ),
    "CVIR": Term(
        "How unlike each other the values of IRLbl are: their standard deviation divided by their mean.",
        r"\frac{\mathrm{sd}(\mathrm{IRLbl})}{\mathrm{MeanIR}}",
    ),
    "SCUMBLE": Term(
        "How much rare labels share their documents with frequent ones: 0 where they never do, towards 1 where they "
        "always do. A high value makes it hard to repeat or weigh documents for the rare labels alone.",
        r"\frac1N\sum_k\left(1-\frac{\left(\prod_{i\in k}\mathrm{IRLbl}_i\right)^{1/|k|}}"
        r"{\frac{1}{|k|}\sum_{i\in k}\mathrm{IRLbl}_i}\right)",
    ),
    "Gini": Term(
        "How unevenly documents are spread over labels: 0 where every label has as many, towards 1 where one label "
        "has them all.",
        r"\frac{\sum_i\sum_j|n_i-n_j|}{2L\sum_i n_i}",
    ),
    "label set": Term("All labels of one document together; PMax and PUniq count how often the same set comes again."),
    "PMax": Term("The share of documents that carry the commonest label set."),
    "PUniq": Term("Label sets that a single document carries, divided by documents."),
    "drift": Term("A label's share of the documents differs between two parts by more than luck explains."),
    # Labels that come together.
    "co-occurrence": Term("Two labels stand on the same document."),
    "p(i given j)": Term(
        "Of the documents with label j, the share that has label i as well. It differs from p(j given i).",
        r"p(i\mid j)=\frac{n_{ij}}{n_j}",
    ),
    "p(j given i)": Term(
        "Of the documents with label i, the share that has label j as well.", r"p(j\mid i)=\frac{n_{ij}}{n_i}"
    ),
    "lift": Term(
        "How many times as often two labels come together as they would by chance: 1 is chance, above 1 they attract "
        "each other, below 1 they avoid each other.",
        r"\mathrm{lift}=\frac{p(i\mid j)}{p(i)}",
    ),
    "Jaccard": Term(
        "Documents with both labels divided by documents with at least one of them: 1 if they are always together.",
        r"\frac{n_{ij}}{n_i+n_j-n_{ij}}",
    ),
    # From a score to a decision.
    "score": Term("What a model gives a label for a document: near 1 it is surely there, near 0 it is surely not."),
    "logit": Term(
        "A score before it is squeezed between 0 and 1: a logit of 0 is a score of 0.5, one of 4 is 0.98.",
        r"\mathrm{score}=\frac{1}{1+e^{-\mathrm{logit}}}",
    ),
    "threshold": Term(
        "A label is given to a document if its score lies above this value. A lower one finds more documents, and more "
        "of those it finds are wrong."
    ),
    "margin": Term(
        "How far something lies from a border: a document from an SVM's border, a positive's logit from 0, or a "
        "threshold from the highest score of a document without the label."
    ),
    "SVM": Term("A support vector machine: for each label it draws the border that is farthest from both sides."),
    "global": Term("One threshold for all labels: the one with the best micro-F1 on validation."),
    "fixed": Term("The threshold is a score of 0.5, whatever validation says."),
    "quiet": Term(
        "The global threshold, but lower for a label that scores low in every validation document without it. That "
        "lets rare labels speak whose scores are low everywhere."
    ),
    "per label": Term(
        "A threshold for each label, the best on validation after documents of an average label are mixed in. Those "
        "guard rare labels against over-fitting."
    ),
    "SCut": Term("A threshold for each label, the best on validation. With few documents it is prone to over-fitting."),
    "SCutFBR": Term(
        "SCut averaged over parts of validation. Where a label's best F1 stays low there, its threshold becomes its "
        "highest score."
    ),
    "PCut": Term("Each label is given to the share of documents that it has in training, those of its highest scores."),
    "RCut": Term("Each document is given the same number of labels, those of its highest scores."),
    "over-fitting": Term("Something suits the documents it was chosen on, and new documents less."),
    "calibration": Term("Of the documents with a score near 0.8, about 80 % have the label."),
    # Counts and scores of a decision.
    "true positive": Term("A label that was given and is right."),
    "false positive": Term("A label that was given and is wrong."),
    "false negative": Term("A label that was missed: it is right, and was not given."),
    "precision": Term("Of what was given, the share that is right.", r"\frac{TP}{TP+FP}"),
    "recall": Term("Of what is right, the share that was given.", r"\frac{TP}{TP+FN}"),
    "F1": Term(
        "One number for precision and recall, near the lower of the two; 1 is perfect.",
        r"F_1=\frac{2\,TP}{2\,TP+FP+FN}",
    ),
    "micro-F1": Term(
        "F1 of the counts of all labels added up. Frequent labels decide it.",
        r"\frac{2\sum_i TP_i}{2\sum_i TP_i+\sum_i FP_i+\sum_i FN_i}",
    ),
    "macro-F1": Term(
        "The mean of the F1 of each label. A rare label counts as much as a frequent one, and one without a hit is 0.",
        r"\frac1L\sum_i F_{1,i}",
    ),
    "P@k": Term(
        "Precision at k: of the k labels with the highest scores of a document, the share that is right.",
        r"P@k=\frac{\text{right ones among the }k\text{ first}}{k}",
    ),
    "average precision": Term(
        "How high a label's own documents stand when all are sorted by its score: 1 if they all come first. No "
        "threshold is needed for it."
    ),
    "interval": Term("Where the value would lie in 95 of 100 repetitions with other test documents and other seeds."),
    "seed": Term("The number that random choices of a training start from. Another seed gives a slightly other run."),
    "swapped": Term("A label was missed, and in the same document another was given wrongly: it took its place."),
    "absorbed": Term("A label was missed, and in the same document another was given rightly: it stands for both."),
    # Losses.
    "loss": Term("The number that training makes small: how wrong the scores of a document are."),
    "gradient": Term("How strongly, and in which direction, a document pushes each logit in a step of the training."),
    "positive": Term("A document that has the label, or a label that the document has."),
    "negative": Term("A document that does not have the label, or a label that the document does not have."),
    "weight": Term("How much a label of a document counts in the loss; 1 is as it is."),
    "gamma": Term(
        "The focus of a loss: how fast what the model gets right fades out; 0 is not at all.", r"(1-p)^\gamma"
    ),
    "alpha": Term(
        "The floor of a rebalanced weight, which is the least that it can be; in the focal loss the side, or how much "
        "a positive counts. In the Dice loss it is the focus: how fast sure positives are let go."
    ),
    "beta": Term(
        "The steepness of the rebalanced weight, or, in the class-balanced one, the smoothing: how far it follows "
        "frequency."
    ),
    "mu": Term(
        "The centre of the rebalanced weight: the value of r at which it is halfway up. A label with a lower r fades, "
        "one with a higher r is pushed up.",
        r"\hat r=\alpha+\sigma(\beta\,(r-\mu))",
    ),
    "r": Term(
        "How rare a label is beside the others of its document: 1 if it stands alone, near 0 if another is far rarer.",
        r"r_{ki}=\frac{1/n_i}{\sum_{j\in k}1/n_j}",
    ),
    "kappa": Term(
        "The size of the shift in training that raises the bar for a rare label, so that its logit learns to lie "
        "higher; 0 is no shift.",
        r"\nu_i=\kappa\,\log\!\left(\frac{N}{n_i}-1\right)",
    ),
    "shift": Term("What is taken off a label's logit in training, the more the rarer the label is."),
    "lambda": Term(
        "The tolerance of a loss: how much faster it lets go of an easy negative; 1 is as in cross-entropy. In the "
        "Hill loss it is the turn from which a negative with a high score pushes less."
    ),
    "tau": Term("The temperature of logit adjustment: how strongly a label's frequency shifts its logit."),
    "epsilon": Term("The first term and second term of a polynomial that is added to the loss of a positive."),
    "cross-entropy": Term(
        "The plain loss: minus the logarithm of the score that the truth was given.",
        r"-\log p\ \text{ or }\ -\log(1-p)",
    ),
}
"""Terms as they are written on the pages, with what they mean."""

_FOUND = re.compile(
    r"(?<![\w-])(" + "|".join(re.escape(name) for name in sorted(GLOSSARY, key=len, reverse=True)) + r")(?![\w-])"
)


def find_terms(text: str) -> list[str]:
    """The terms in a text as they are written in the glossary, each once, in their order; capitals count."""
    return list(dict.fromkeys(_FOUND.findall(text)))
