"""The literature that methods and parts of the fit rest on, one record a publication."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

__all__ = (
    "ABDUL_RAHMAN_2007",
    "BILGIC_2014_L1",
    "BILGIC_2014_L2",
    "BREDIES_2010",
    "BROWN_2014",
    "CANDES_2008",
    "CURRIE_1968",
    "DENK_2010",
    "DESIKAN_2006",
    "DYMERSKA_2021",
    "ECKSTEIN_2018",
    "FISCHL_2002",
    "FISCH_2023",
    "FONOV_2011",
    "GHIGLIA_1994",
    "GREENBERG_2009",
    "HAACKE_2004",
    "HAGBERG_2022",
    "HARRIS_1978",
    "HOLLAND_1977",
    "HUBER_1964",
    "KAMES_2018",
    "KAN_2019",
    "KENNEDY_2001",
    "KIM_2008",
    "KRESSLER_2010",
    "LAMBERT_2022",
    "LANGKAMMER_2015",
    "LIU_2011",
    "LIU_2012_BURDEN",
    "LIU_2012_MEDI",
    "LIU_2013",
    "LIU_2017",
    "LI_2011",
    "LI_2014",
    "LI_2015",
    "LU_2008",
    "MARQUARDT_1963",
    "MATTES_2003",
    "MILOVIC_2018",
    "MILOVIC_2019",
    "MILOVIC_2022",
    "NANDIGAM_2009",
    "OSBORN_1945",
    "OSHER_2005",
    "OTSU_1979",
    "PEI_2015",
    "POLAK_2020",
    "RASMUSSEN_2006",
    "ROBINSON_2017",
    "ROSE_1948",
    "SCHENCK_1996",
    "SCHOFIELD_2003",
    "SCHWARZ_1978",
    "SCHWESER_2011",
    "SCHWESER_2013",
    "SHMUELI_2009",
    "SUN_2014",
    "VERAART_2013",
    "WEN_2014",
    "WHARTON_2010",
    "WHITE_1980",
    "WU_2012",
    "YABLONSKIY_1994",
    "ZHOU_2014",
    "Reference",
)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A publication with the fields of a BibTeX entry.

    Parameters
    ----------
    authors : str
        Names as BibTeX has them: ``"Family, I. and Family, I."``.
    title : str
        Title, without a full stop.
    journal : str
        Journal, or the publisher of a book.
    year : int
        Year of the issue.
    doi : str
        Digital object identifier, without the resolver's address.
    kind : {"article", "book"}, optional
        Type of the BibTeX entry.

    Examples
    --------
    >>> ZHOU_2014.short
    'Zhou et al. 2014'
    >>> ZHOU_2014.key
    'zhou2014background'
    """

    authors: str
    title: str
    journal: str
    year: int
    doi: str
    kind: str = "article"

    @property
    def short(self) -> str:
        """Authors and year, as a text cites them."""
        families = [name.partition(",")[0] for name in self.authors.split(" and ")]
        names = " and ".join(families) if len(families) < 3 else f"{families[0]} et al."
        return f"{names} {self.year}"

    @property
    def key(self) -> str:
        """Key of the BibTeX entry: family, year and the title's first long word."""
        word = re.findall(r"[a-z]{5,}", self.title.lower())[0]
        family = unicodedata.normalize("NFKD", self.authors.partition(",")[0].lower())
        return f"{re.sub('[^a-z]', '', family)}{self.year}{word}"

    @property
    def text(self) -> str:
        """The entry of a bibliography, in one line."""
        names = self.authors.replace(",", "").replace(" and ", ", ").rstrip(".")
        return f"{names}. {self.title}. {self.journal} {self.year}. doi:{self.doi}"

    def bibtex(self) -> str:
        """Return the BibTeX entry.

        Returns
        -------
        str
            The entry, a line a field.

        Examples
        --------
        >>> ZHOU_2014.bibtex().splitlines()[0]
        '@article{zhou2014background,'
        """
        publisher = "publisher" if self.kind == "book" else "journal"
        fields = {
            "author": self.authors, "title": f"{{{self.title}}}", publisher: self.journal, "year": self.year,
            "doi": self.doi,
        }  # fmt: skip
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"])


ABDUL_RAHMAN_2007 = Reference(
    authors="Abdul-Rahman, H. S. and Gdeisat, M. A. and Burton, D. R. and Lalor, M. J. and Lilley, F. and "
    "Moore, C. J.",
    title="Fast and robust three-dimensional best path phase unwrapping algorithm",
    journal="Applied Optics", year=2007, doi="10.1364/AO.46.006623",
)  # fmt: skip
BILGIC_2014_L1 = Reference(
    authors="Bilgic, B. and Fan, A. P. and Polimeni, J. R. and Cauley, S. F. and Bianciardi, M. and "
    "Adalsteinsson, E. and Wald, L. L. and Setsompop, K.",
    title="Fast quantitative susceptibility mapping with L1-regularization and automatic parameter selection",
    journal="Magnetic Resonance in Medicine", year=2014, doi="10.1002/mrm.25029",
)  # fmt: skip
BILGIC_2014_L2 = Reference(
    authors="Bilgic, B. and Chatnuntawech, I. and Fan, A. P. and Setsompop, K. and Cauley, S. F. and Wald, "
    "L. L. and Adalsteinsson, E.",
    title="Fast image reconstruction with L2-regularization",
    journal="Journal of Magnetic Resonance Imaging", year=2014, doi="10.1002/jmri.24365",
)  # fmt: skip
BREDIES_2010 = Reference(
    authors="Bredies, K. and Kunisch, K. and Pock, T.",
    title="Total generalized variation",
    journal="SIAM Journal on Imaging Sciences", year=2010, doi="10.1137/090769521",
)  # fmt: skip
BROWN_2014 = Reference(
    authors="Brown, R. W. and Cheng, Y.-C. N. and Haacke, E. M. and Thompson, M. R. and Venkatesan, R.",
    title="Magnetic Resonance Imaging: Physical Principles and Sequence Design",
    journal="Wiley", year=2014, doi="10.1002/9781118633953", kind="book",
)  # fmt: skip
CANDES_2008 = Reference(
    authors="Candès, E. J. and Wakin, M. B. and Boyd, S. P.",
    title="Enhancing sparsity by reweighted l1 minimization",
    journal="Journal of Fourier Analysis and Applications", year=2008, doi="10.1007/s00041-008-9045-x",
)  # fmt: skip
CURRIE_1968 = Reference(
    authors="Currie, L. A.",
    title="Limits for qualitative detection and quantitative determination: application to radiochemistry",
    journal="Analytical Chemistry", year=1968, doi="10.1021/ac60259a007",
)  # fmt: skip
DENK_2010 = Reference(
    authors="Denk, C. and Rauscher, A.",
    title="Susceptibility weighted imaging with multiple echoes",
    journal="Journal of Magnetic Resonance Imaging", year=2010, doi="10.1002/jmri.21995",
)  # fmt: skip
DESIKAN_2006 = Reference(
    authors="Desikan, R. S. and Segonne, F. and Fischl, B. and Quinn, B. T. and Dickerson, B. C. and Blacker, D. and"
    " Buckner, R. L. and Dale, A. M. and Maguire, R. P. and Hyman, B. T. and Albert, M. S. and Killiany, R. J.",
    title="An automated labeling system for subdividing the human cerebral cortex on MRI scans into gyral based regions"
    " of interest",
    journal="NeuroImage", year=2006, doi="10.1016/j.neuroimage.2006.01.021",
)  # fmt: skip
DYMERSKA_2021 = Reference(
    authors="Dymerska, B. and Eckstein, K. and Bachrata, B. and Siow, B. and Trattnig, S. and Shmueli, K. "
    "and Robinson, S. D.",
    title="Phase unwrapping with a rapid opensource minimum spanning tree algorithm (ROMEO)",
    journal="Magnetic Resonance in Medicine", year=2021, doi="10.1002/mrm.28563",
)  # fmt: skip
ECKSTEIN_2018 = Reference(
    authors="Eckstein, K. and Dymerska, B. and Bachrata, B. and Bogner, W. and Poljanc, K. and Trattnig, S."
    " and Robinson, S. D.",
    title="Computationally efficient combination of multi-channel phase data from multi-echo acquisitions"
    " (ASPIRE)",
    journal="Magnetic Resonance in Medicine", year=2018, doi="10.1002/mrm.26963",
)  # fmt: skip
FISCHL_2002 = Reference(
    authors="Fischl, B. and Salat, D. H. and Busa, E. and Albert, M. and Dieterich, M. and Haselgrove, C. and van der"
    " Kouwe, A. and Killiany, R. and Kennedy, D. and Klaveness, S. and Montillo, A. and Makris, N. and Rosen, B. and"
    " Dale, A. M.",
    title="Whole brain segmentation: automated labeling of neuroanatomical structures in the human brain",
    journal="Neuron", year=2002, doi="10.1016/s0896-6273(02)00569-x",
)  # fmt: skip
FISCH_2023 = Reference(
    authors="Fisch, L. and Zumdick, S. and Barkhau, C. and Emden, D. and Ernsting, J. and Leenings, R. and Sarink, K. "
    "and Winter, N. R. and Risse, B. and Dannlowski, U. and Hahn, T.",
    title="deepbet: Fast brain extraction of T1-weighted MRI using convolutional neural networks",
    journal="arXiv", year=2023, doi="10.48550/arXiv.2308.07003",
)  # fmt: skip
FONOV_2011 = Reference(
    authors="Fonov, V. and Evans, A. C. and Botteron, K. and Almli, C. R. and McKinstry, R. C. and Collins,"
    " D. L.",
    title="Unbiased average age-appropriate atlases for pediatric studies",
    journal="NeuroImage", year=2011, doi="10.1016/j.neuroimage.2010.07.033",
)  # fmt: skip
GHIGLIA_1994 = Reference(
    authors="Ghiglia, D. C. and Romero, L. A.",
    title="Robust two-dimensional weighted and unweighted phase unwrapping that uses fast transforms and "
    "iterative methods",
    journal="Journal of the Optical Society of America A", year=1994, doi="10.1364/JOSAA.11.000107",
)  # fmt: skip
GREENBERG_2009 = Reference(
    authors="Greenberg, S. M. and Vernooij, M. W. and Cordonnier, C. and Viswanathan, A. and Al-Shahi "
    "Salman, R. and Warach, S. and Launer, L. J. and Van Buchem, M. A. and Breteler, M. M.",
    title="Cerebral microbleeds: a guide to detection and interpretation",
    journal="The Lancet Neurology", year=2009, doi="10.1016/S1474-4422(09)70013-4",
)  # fmt: skip
HAACKE_2004 = Reference(
    authors="Haacke, E. M. and Xu, Y. and Cheng, Y.-C. N. and Reichenbach, J. R.",
    title="Susceptibility weighted imaging (SWI)",
    journal="Magnetic Resonance in Medicine", year=2004, doi="10.1002/mrm.20198",
)  # fmt: skip
HAGBERG_2022 = Reference(
    authors="Hagberg, G. E. and Eckstein, K. and Tuzzi, E. and Zhou, J. and Robinson, S. D. and Scheffler, "
    "K.",
    title="Phase-based masking for quantitative susceptibility mapping of the human brain at 9.4T",
    journal="Magnetic Resonance in Medicine", year=2022, doi="10.1002/mrm.29368",
)  # fmt: skip
HARRIS_1978 = Reference(
    authors="Harris, F. J.",
    title="On the use of windows for harmonic analysis with the discrete Fourier transform",
    journal="Proceedings of the IEEE", year=1978, doi="10.1109/PROC.1978.10837",
)  # fmt: skip
HOLLAND_1977 = Reference(
    authors="Holland, P. W. and Welsch, R. E.",
    title="Robust regression using iteratively reweighted least-squares",
    journal="Communications in Statistics - Theory and Methods", year=1977, doi="10.1080/03610927708827533",
)  # fmt: skip
HUBER_1964 = Reference(
    authors="Huber, P. J.",
    title="Robust estimation of a location parameter",
    journal="The Annals of Mathematical Statistics", year=1964, doi="10.1214/aoms/1177703732",
)  # fmt: skip
KAMES_2018 = Reference(
    authors="Kames, C. and Wiggermann, V. and Rauscher, A.",
    title="Rapid two-step dipole inversion for susceptibility mapping with sparsity priors",
    journal="NeuroImage", year=2018, doi="10.1016/j.neuroimage.2017.11.018",
)  # fmt: skip
KAN_2019 = Reference(
    authors="Kan, H. and Arai, N. and Takizawa, M. and Kasai, H. and Kunitomo, H. and Hirose, Y. and Shibamoto, Y.",
    title="Improvement of signal inhomogeneity induced by radio-frequency transmit-related phase error for single-step "
    "quantitative susceptibility mapping reconstruction",
    journal="Magnetic Resonance in Medical Sciences", year=2019, doi="10.2463/mrms.tn.2018-0066",
)  # fmt: skip
KENNEDY_2001 = Reference(
    authors="Kennedy, M. C. and O'Hagan, A.",
    title="Bayesian calibration of computer models",
    journal="Journal of the Royal Statistical Society Series B", year=2001, doi="10.1111/1467-9868.00294",
)  # fmt: skip
KIM_2008 = Reference(
    authors="Kim, K. W. and MacFall, J. R. and Payne, M. E.",
    title="Classification of white matter lesions on magnetic resonance imaging in elderly persons",
    journal="Biological Psychiatry", year=2008, doi="10.1016/j.biopsych.2008.03.024",
)  # fmt: skip
KRESSLER_2010 = Reference(
    authors="Kressler, B. and de Rochefort, L. and Liu, T. and Spincemaille, P. and Jiang, Q. and Wang, Y.",
    title="Nonlinear regularization for per voxel estimation of magnetic susceptibility distributions "
    "from MRI field maps",
    journal="IEEE Transactions on Medical Imaging", year=2010, doi="10.1109/TMI.2009.2023787",
)  # fmt: skip
LAMBERT_2022 = Reference(
    authors="Lambert, M. and Tejos, C. and Langkammer, C. and Milovic, C.",
    title="Hybrid data fidelity term approach for quantitative susceptibility mapping",
    journal="Magnetic Resonance in Medicine", year=2022, doi="10.1002/mrm.29218",
)  # fmt: skip
LANGKAMMER_2015 = Reference(
    authors="Langkammer, C. and Bredies, K. and Poser, B. A. and Barth, M. and Reishofer, G. and Fan, A. P."
    " and Bilgic, B. and Fazekas, F. and Mainero, C. and Ropele, S.",
    title="Fast quantitative susceptibility mapping using 3D EPI and total generalized variation",
    journal="NeuroImage", year=2015, doi="10.1016/j.neuroimage.2015.02.041",
)  # fmt: skip
LI_2011 = Reference(
    authors="Li, W. and Wu, B. and Liu, C.",
    title="Quantitative susceptibility mapping of human brain reflects spatial variation in tissue "
    "composition",
    journal="NeuroImage", year=2011, doi="10.1016/j.neuroimage.2010.11.088",
)  # fmt: skip
LI_2014 = Reference(
    authors="Li, W. and Avram, A. V. and Wu, B. and Xiao, X. and Liu, C.",
    title="Integrated Laplacian-based phase unwrapping and background phase removal for quantitative "
    "susceptibility mapping",
    journal="NMR in Biomedicine", year=2014, doi="10.1002/nbm.3056",
)  # fmt: skip
LI_2015 = Reference(
    authors="Li, W. and Wang, N. and Yu, F. and Han, H. and Cao, W. and Romero, R. and Tantiwongkosi, B. "
    "and Duong, T. Q. and Liu, C.",
    title="A method for estimating and removing streaking artifacts in quantitative susceptibility mapping",
    journal="NeuroImage", year=2015, doi="10.1016/j.neuroimage.2014.12.043",
)  # fmt: skip
LIU_2011 = Reference(
    authors="Liu, T. and Khalidov, I. and de Rochefort, L. and Spincemaille, P. and Liu, J. and Tsiouris, "
    "A. J. and Wang, Y.",
    title="A novel background field removal method for MRI using projection onto dipole fields (PDF)",
    journal="NMR in Biomedicine", year=2011, doi="10.1002/nbm.1670",
)  # fmt: skip
LIU_2012_BURDEN = Reference(
    authors="Liu, T. and Surapaneni, K. and Lou, M. and Cheng, L. and Spincemaille, P. and Wang, Y.",
    title="Cerebral microbleeds: burden assessment by using quantitative susceptibility mapping",
    journal="Radiology", year=2012, doi="10.1148/radiol.11110251",
)  # fmt: skip
LIU_2012_MEDI = Reference(
    authors="Liu, J. and Liu, T. and de Rochefort, L. and Ledoux, J. and Khalidov, I. and Chen, W. and "
    "Tsiouris, A. J. and Wisnieff, C. and Spincemaille, P. and Prince, M. R. and Wang, Y.",
    title="Morphology enabled dipole inversion for quantitative susceptibility mapping using structural "
    "consistency between the magnitude image and the susceptibility map",
    journal="NeuroImage", year=2012, doi="10.1016/j.neuroimage.2011.08.082",
)  # fmt: skip
LIU_2013 = Reference(
    authors="Liu, T. and Wisnieff, C. and Lou, M. and Chen, W. and Spincemaille, P. and Wang, Y.",
    title="Nonlinear formulation of the magnetic field to source relationship for robust quantitative "
    "susceptibility mapping",
    journal="Magnetic Resonance in Medicine", year=2013, doi="10.1002/mrm.24272",
)  # fmt: skip
LIU_2017 = Reference(
    authors="Liu, Z. and Kee, Y. and Zhou, D. and Wang, Y. and Spincemaille, P.",
    title="Preconditioned total field inversion (TFI) method for quantitative susceptibility mapping",
    journal="Magnetic Resonance in Medicine", year=2017, doi="10.1002/mrm.26331",
)  # fmt: skip
LU_2008 = Reference(
    authors="Lu, W. and Yu, H. and Shimakawa, A. and Alley, M. and Reeder, S. B. and Hargreaves, B. A.",
    title="Water-fat separation with bipolar multiecho sequences",
    journal="Magnetic Resonance in Medicine", year=2008, doi="10.1002/mrm.21583",
)  # fmt: skip
MARQUARDT_1963 = Reference(
    authors="Marquardt, D. W.",
    title="An algorithm for least-squares estimation of nonlinear parameters",
    journal="Journal of the Society for Industrial and Applied Mathematics", year=1963, doi="10.1137/0111030",
)  # fmt: skip
MATTES_2003 = Reference(
    authors="Mattes, D. and Haynor, D. R. and Vesselle, H. and Lewellen, T. K. and Eubank, W.",
    title="PET-CT image registration in the chest using free-form deformations",
    journal="IEEE Transactions on Medical Imaging", year=2003, doi="10.1109/TMI.2003.809072",
)  # fmt: skip
MILOVIC_2018 = Reference(
    authors="Milovic, C. and Bilgic, B. and Zhao, B. and Acosta-Cabronero, J. and Tejos, C.",
    title="Fast nonlinear susceptibility inversion with variational regularization",
    journal="Magnetic Resonance in Medicine", year=2018, doi="10.1002/mrm.27073",
)  # fmt: skip
MILOVIC_2019 = Reference(
    authors="Milovic, C. and Bilgic, B. and Zhao, B. and Langkammer, C. and Tejos, C. and Acosta-Cabronero,"
    " J.",
    title="Weak-harmonic regularization for quantitative susceptibility mapping",
    journal="Magnetic Resonance in Medicine", year=2019, doi="10.1002/mrm.27483",
)  # fmt: skip
MILOVIC_2022 = Reference(
    authors="Milovic, C. and Lambert, M. and Langkammer, C. and Bredies, K. and Irarrazaval, P. and Tejos, "
    "C.",
    title="Streaking artifact suppression of quantitative susceptibility mapping reconstructions via "
    "L1-norm data fidelity optimization (L1-QSM)",
    journal="Magnetic Resonance in Medicine", year=2022, doi="10.1002/mrm.28957",
)  # fmt: skip
NANDIGAM_2009 = Reference(
    authors="Nandigam, R. N. K. and Viswanathan, A. and Delgado, P. and Skehan, M. E. and Smith, E. E. and Rosand, J. "
    "and Greenberg, S. M. and Dickerson, B. C.",
    title="MR imaging detection of cerebral microbleeds: effect of susceptibility-weighted imaging, section thickness, "
    "and field strength",
    journal="American Journal of Neuroradiology", year=2009, doi="10.3174/ajnr.A1355",
)  # fmt: skip
OSBORN_1945 = Reference(
    authors="Osborn, J. A.",
    title="Demagnetizing factors of the general ellipsoid",
    journal="Physical Review", year=1945, doi="10.1103/PhysRev.67.351",
)  # fmt: skip
OSHER_2005 = Reference(
    authors="Osher, S. and Burger, M. and Goldfarb, D. and Xu, J. and Yin, W.",
    title="An iterative regularization method for total variation-based image restoration",
    journal="Multiscale Modeling and Simulation", year=2005, doi="10.1137/040605412",
)  # fmt: skip
OTSU_1979 = Reference(
    authors="Otsu, N.",
    title="A threshold selection method from gray-level histograms",
    journal="IEEE Transactions on Systems, Man, and Cybernetics", year=1979, doi="10.1109/TSMC.1979.4310076",
)  # fmt: skip
PEI_2015 = Reference(
    authors="Pei, M. and Nguyen, T. D. and Thimmappa, N. D. and Salustri, C. and Dong, F. and Cooper, M. A."
    " and Li, J. and Prince, M. R. and Wang, Y.",
    title="Algorithm for fast monoexponential fitting based on Auto-Regression on Linear Operations "
    "(ARLO) of data",
    journal="Magnetic Resonance in Medicine", year=2015, doi="10.1002/mrm.25137",
)  # fmt: skip
POLAK_2020 = Reference(
    authors="Polak, D. and Chatnuntawech, I. and Yoon, J. and Iyer, S. S. and Milovic, C. and Lee, J. and "
    "Bachert, P. and Adalsteinsson, E. and Setsompop, K. and Bilgic, B.",
    title="Nonlinear dipole inversion (NDI) enables robust quantitative susceptibility mapping (QSM)",
    journal="NMR in Biomedicine", year=2020, doi="10.1002/nbm.4271",
)  # fmt: skip
RASMUSSEN_2006 = Reference(
    authors="Rasmussen, C. E. and Williams, C. K. I.",
    title="Gaussian Processes for Machine Learning",
    journal="MIT Press", year=2006, doi="10.7551/mitpress/3206.001.0001", kind="book",
)  # fmt: skip
ROBINSON_2017 = Reference(
    authors="Robinson, S. D. and Bredies, K. and Khabipova, D. and Dymerska, B. and Marques, J. P. and "
    "Schweser, F.",
    title="An illustrated comparison of processing methods for MR phase imaging and QSM: combining array "
    "coil signals and phase unwrapping",
    journal="NMR in Biomedicine", year=2017, doi="10.1002/nbm.3601",
)  # fmt: skip
ROSE_1948 = Reference(
    authors="Rose, A.",
    title="The sensitivity performance of the human eye on an absolute scale",
    journal="Journal of the Optical Society of America", year=1948, doi="10.1364/JOSA.38.000196",
)  # fmt: skip
SCHENCK_1996 = Reference(
    authors="Schenck, J. F.",
    title="The role of magnetic susceptibility in magnetic resonance imaging: MRI magnetic compatibility "
    "of the first and second kinds",
    journal="Medical Physics", year=1996, doi="10.1118/1.597854",
)  # fmt: skip
SCHOFIELD_2003 = Reference(
    authors="Schofield, M. A. and Zhu, Y.",
    title="Fast phase unwrapping algorithm for interferometric applications",
    journal="Optics Letters", year=2003, doi="10.1364/OL.28.001194",
)  # fmt: skip
SCHWARZ_1978 = Reference(
    authors="Schwarz, G.",
    title="Estimating the dimension of a model",
    journal="The Annals of Statistics", year=1978, doi="10.1214/aos/1176344136",
)  # fmt: skip
SCHWESER_2011 = Reference(
    authors="Schweser, F. and Deistung, A. and Lehr, B. W. and Reichenbach, J. R.",
    title="Quantitative imaging of intrinsic magnetic tissue properties using MRI signal phase: an "
    "approach to in vivo brain iron metabolism?",
    journal="NeuroImage", year=2011, doi="10.1016/j.neuroimage.2010.10.070",
)  # fmt: skip
SCHWESER_2013 = Reference(
    authors="Schweser, F. and Deistung, A. and Sommer, K. and Reichenbach, J. R.",
    title="Toward online reconstruction of quantitative susceptibility maps: superfast dipole inversion",
    journal="Magnetic Resonance in Medicine", year=2013, doi="10.1002/mrm.24405",
)  # fmt: skip
SHMUELI_2009 = Reference(
    authors="Shmueli, K. and de Zwart, J. A. and van Gelderen, P. and Li, T.-Q. and Dodd, S. J. and Duyn, "
    "J. H.",
    title="Magnetic susceptibility mapping of brain tissue in vivo using MRI phase data",
    journal="Magnetic Resonance in Medicine", year=2009, doi="10.1002/mrm.22135",
)  # fmt: skip
SUN_2014 = Reference(
    authors="Sun, H. and Wilman, A. H.",
    title="Background field removal using spherical mean value filtering and Tikhonov regularization",
    journal="Magnetic Resonance in Medicine", year=2014, doi="10.1002/mrm.24765",
)  # fmt: skip
VERAART_2013 = Reference(
    authors="Veraart, J. and Sijbers, J. and Sunaert, S. and Leemans, A. and Jeurissen, B.",
    title="Weighted linear least squares estimation of diffusion MRI parameters: strengths, limitations, "
    "and pitfalls",
    journal="NeuroImage", year=2013, doi="10.1016/j.neuroimage.2013.05.028",
)  # fmt: skip
WEN_2014 = Reference(
    authors="Wen, Y. and Zhou, D. and Liu, T. and Spincemaille, P. and Wang, Y.",
    title="An iterative spherical mean value method for background field removal in MRI",
    journal="Magnetic Resonance in Medicine", year=2014, doi="10.1002/mrm.24998",
)  # fmt: skip
WHARTON_2010 = Reference(
    authors="Wharton, S. and Schäfer, A. and Bowtell, R.",
    title="Susceptibility mapping in the human brain using threshold-based k-space division",
    journal="Magnetic Resonance in Medicine", year=2010, doi="10.1002/mrm.22334",
)  # fmt: skip
WHITE_1980 = Reference(
    authors="White, H.",
    title="A heteroskedasticity-consistent covariance matrix estimator and a direct test for "
    "heteroskedasticity",
    journal="Econometrica", year=1980, doi="10.2307/1912934",
)  # fmt: skip
WU_2012 = Reference(
    authors="Wu, B. and Li, W. and Guidon, A. and Liu, C.",
    title="Whole brain susceptibility mapping using compressed sensing",
    journal="Magnetic Resonance in Medicine", year=2012, doi="10.1002/mrm.23000",
)  # fmt: skip
YABLONSKIY_1994 = Reference(
    authors="Yablonskiy, D. A. and Haacke, E. M.",
    title="Theory of NMR signal behavior in magnetically inhomogeneous tissues: the static dephasing regime",
    journal="Magnetic Resonance in Medicine", year=1994, doi="10.1002/mrm.1910320610",
)  # fmt: skip
ZHOU_2014 = Reference(
    authors="Zhou, D. and Liu, T. and Spincemaille, P. and Wang, Y.",
    title="Background field removal by solving the Laplacian boundary value problem",
    journal="NMR in Biomedicine", year=2014, doi="10.1002/nbm.3064",
)  # fmt: skip
